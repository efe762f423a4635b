//! A reqwest client that finds services by name. In two terminals:
//!
//! ```text
//! discovery up
//! cargo run -p reqwest-example -- http://service2/
//! ```

use std::{sync::Arc, time::Duration};

use discovery::{Discovery, adapt::ServiceResolver};

/// How long an idle connection is kept: so late a new instance gets its share of the requests.
const IDLE: Duration = Duration::from_secs(5);
/// For a request with its response.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client of reqwest for services by name.
///
/// # Errors
/// As [`reqwest::ClientBuilder::build`].
pub fn client(discovery: Discovery) -> reqwest::Result<reqwest::Client> {
    let resolver = ServiceResolver::new(move |service| discovery.pool(service));
    reqwest::Client::builder()
        .dns_resolver(Arc::new(resolver))
        .pool_idle_timeout(IDLE)
        .timeout(TIMEOUT)
        .no_proxy()
        .build()
}
