//! Registers as `axum-example` and serves until SIGTERM or Ctrl-C.

use std::{error::Error, time::Duration};

use axum_example::{app, serve};
use discovery::{Discovery, Registration, shutdown_signal};
use tokio::net::TcpListener;

/// From the signal to the end of the listener: callers leave meanwhile.
const DRAIN: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("0.0.0.0:0").await?;
    let registration = Registration::new("axum-example", listener.local_addr()?);
    let registered = Discovery::from_env()?.register(registration)?;
    let serving = |lifecycle| serve(listener, app(), lifecycle);
    registered.serve_until(shutdown_signal(), DRAIN, serving).await??;
    Ok(())
}
