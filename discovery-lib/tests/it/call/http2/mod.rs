//! Calls in HTTP/2, to a server of hyper and to servers that behave oddly.

mod bodies;
mod connections;
pub(super) mod frames;
mod odd;
mod server;

use std::time::Duration;

use discovery::{CallOptions, Client, Pool, Protocol};

/// Long enough for a slow machine.
const LONG: Duration = Duration::from_secs(60);

/// HTTP/2, and no time limit that a test does not set.
fn options() -> CallOptions {
    let options = CallOptions::default().protocol(Protocol::Http2);
    options.connect_timeout(LONG).try_timeout(LONG).stall_timeout(LONG).call_timeout(LONG)
}

/// A client that uses one pool for every service name, in HTTP/2.
fn client(pool: &Pool) -> Client {
    client_with(pool, options())
}

fn client_with(pool: &Pool, options: CallOptions) -> Client {
    super::client(pool).with_options(options).unwrap()
}

async fn read(client: &Client) -> String {
    client.get("http://service2/").await.unwrap().into_body().text(64).await.unwrap()
}
