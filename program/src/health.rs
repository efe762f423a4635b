//! A health check client, for images without a shell or curl.

use std::net::SocketAddr;

use discovery::{Client, Pool, registration::near};
use http::StatusCode;

use super::Outcome;

/// Sends `GET /health` to the service `service` that listens on `listen` on this machine.
///
/// # Errors
/// It does not answer with 200, or the address belongs to another service.
pub async fn health(service: &str, listen: SocketAddr) -> Outcome {
    if listen.port() == 0 {
        return Err(
            "--listen (LISTEN) has port 0: set it to the port that the running service has bound"
                .into(),
        );
    }
    let near = near(listen);
    let client = Client::new(move |service| Pool::fixed(service, [near]));
    let answer = client.get(&format!("http://{service}/health")).await?;
    match answer.status() {
        StatusCode::OK => Ok(()),
        status => Err(format!("{near} returned {status}").into()),
    }
}
