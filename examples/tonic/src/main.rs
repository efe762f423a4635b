//! Prints the health of a service, as one of its instances states it.

use std::{env, error::Error};

use discovery::Discovery;
use tonic_health::pb::HealthCheckRequest;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let service = env::args().nth(1).ok_or("expected the name of a service, like greeter")?;
    let channel = tonic_example::channel(&Discovery::from_env()?)?;
    let mut health = tonic_example::health(channel, &service)?;
    let answer = health.check(HealthCheckRequest::default()).await?;
    #[expect(clippy::print_stdout, reason = "the result of this program")]
    {
        println!("{}", answer.into_inner().status().as_str_name());
    }
    Ok(())
}
