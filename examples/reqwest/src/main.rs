//! Prints the response to GET of a URL whose host is a service.

use std::{env, error::Error};

use discovery::Discovery;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1).ok_or("expected a URL, like http://service2/")?;
    let client = reqwest_example::client(Discovery::from_env()?)?;
    let response = client.get(url).send().await?.error_for_status()?;
    #[expect(clippy::print_stdout, reason = "the result of this program")]
    {
        print!("{}", response.text().await?);
    }
    Ok(())
}
