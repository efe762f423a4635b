//! Prints the response to GET of a URL whose host is a service, and its span as log lines.

use std::{env, error::Error, time::Duration};

use discovery::{Discovery, RequestBody};
use http::Request;
use http_body_util::{BodyExt, Limited};
use tower::ServiceExt;

/// Bytes of a response.
const BODY_MAX: usize = 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_writer(std::io::stderr)
        .init();
    let url = env::args().nth(1).ok_or("expected a URL, like http://service2/")?;
    let client = tower_example::layered(Discovery::from_env()?.client(), TIMEOUT);
    let response = client.oneshot(Request::get(url).body(RequestBody::from(()))?).await?;
    let body = Limited::new(response.into_body(), BODY_MAX).collect().await?.to_bytes();
    #[expect(clippy::print_stdout, reason = "the result of this program")]
    {
        print!("{}", String::from_utf8_lossy(&body));
    }
    Ok(())
}
