//! Calls in HTTP/2, to a server of hyper and to servers that behave oddly.

mod bodies;
mod connections;
pub(super) mod frames;
mod odd;
mod server;

use discovery::{CallOptions, Client, Pool, Protocol};

fn options() -> CallOptions {
    CallOptions::default().protocol(Protocol::Http2)
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
