//! Prints the response to GET of a URL whose host is a service.

use std::{env, error::Error, time::Duration};

use discovery::Discovery;
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;

/// Bytes of a response.
const BODY_MAX: usize = 1024 * 1024;
/// For the request with its response.
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = env::args().nth(1).ok_or("expected a URL, like http://service2/")?.parse()?;
    let client = hyper_example::client(Discovery::from_env()?);
    let body = timeout(TIMEOUT, async {
        let response = client.get(url).await?;
        Limited::new(response.into_body(), BODY_MAX).collect().await
    });
    #[expect(clippy::print_stdout, reason = "the result of this program")]
    {
        print!("{}", String::from_utf8_lossy(&body.await??.to_bytes()));
    }
    Ok(())
}
