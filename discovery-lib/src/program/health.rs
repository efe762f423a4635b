//! A service that asks itself how it is, for images without a shell and without curl.

use std::net::SocketAddr;

use http::StatusCode;

use super::Outcome;
use crate::{Client, Pool, registration::near};

/// Asks the `/health` of the service of this name that listens there on this machine.
///
/// # Errors
/// It does not serve, or is another service.
pub async fn health(service: &str, listen: SocketAddr) -> Outcome {
    if listen.port() == 0 {
        return Err(
            "--listen (LISTEN) has port 0: which one the system chose is not known here".into()
        );
    }
    let near = near(listen);
    let client = Client::new(move |service| Pool::fixed(service, [near]));
    let answer = client.get(&format!("http://{service}/health")).await?;
    match answer.status() {
        StatusCode::OK => Ok(()),
        status => Err(format!("{near} answered {status}").into()),
    }
}
