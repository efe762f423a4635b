//! A client of hyper-util that finds services by name. In two terminals:
//!
//! ```text
//! discovery up
//! cargo run -p hyper-example -- http://service2/
//! ```

use std::time::Duration;

use bytes::Bytes;
use discovery::{Discovery, adapt::Connector};
use http_body_util::Full;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};

/// How long an idle connection is kept: so late a new instance gets its share of the requests.
const IDLE: Duration = Duration::from_secs(5);

/// A client of hyper-util for services by name.
pub type Client = legacy::Client<Connector, Full<Bytes>>;

/// A client of hyper-util for services by name. It has no deadline for a response.
pub fn client(discovery: Discovery) -> Client {
    client_of(Connector::new(move |service| discovery.pool(service)))
}

/// A client of hyper-util with this connector.
pub fn client_of(connector: Connector) -> Client {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector)
}
