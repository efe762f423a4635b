//! Services by name in a client of reqwest.

use std::{error::Error as StdError, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::{net::lookup_host, time::Instant};

use super::host::{Find, is_service};
use crate::{CallOptions, Error, PickOptions, Pool, call::first_pick, tries::Tries};

/// The number of instances in an answer: reqwest connects to the first one, and to the next while that fails.
const INSTANCES_MAX: usize = 3;

/// Resolves host names as services, for [`reqwest::ClientBuilder::dns_resolver`].
///
/// A host without a dot is a service: its addresses and ports are those of up to three instances, the best one first. Other hosts, and
/// `localhost`, are resolved by the system. A port in the URL replaces that of the instance, so leave it out. A service that was not asked for
/// before is waited for, [1 s](CallOptions::ready_timeout) at most.
///
/// reqwest resolves a name for each new connection and keeps connections: requests are spread by connection, a failed one is not repeated on
/// another instance, and results do not count for the choice of later picks. [`Client`](crate::Client) does all three per request. Set
/// [`pool_idle_timeout`](reqwest::ClientBuilder::pool_idle_timeout) to a few seconds, so that connections follow the instances, and
/// [`no_proxy`](reqwest::ClientBuilder::no_proxy), as a proxy would resolve the names itself.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use discovery::{Discovery, adapt::ServiceResolver};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let discovery = Discovery::from_env()?;
/// let resolver = ServiceResolver::new(move |service| discovery.pool(service));
/// let client = reqwest::Client::builder()
///     .dns_resolver(Arc::new(resolver))
///     .pool_idle_timeout(Duration::from_secs(5))
///     .no_proxy()
///     .build()?;
/// let request = client.get("http://service2/");
/// # drop(request);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServiceResolver(Find);

type BoxError = Box<dyn StdError + Send + Sync>;

impl ServiceResolver {
    /// A resolver that takes the instances of a service from these pools, as [`Client::new`](crate::Client::new) does.
    pub fn new(find: impl Fn(&str) -> Pool + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }
}

impl Resolve for ServiceResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let find = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let addresses = if is_service(host) {
                instances(&find(host)).await?
            } else {
                lookup_host((host, 0)).await.map_err(BoxError::from)?.collect()
            };
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl std::fmt::Debug for ServiceResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceResolver").finish_non_exhaustive()
    }
}

/// The addresses of up to [`INSTANCES_MAX`] instances, at least one address.
async fn instances(pool: &Pool) -> Result<Vec<SocketAddr>, Error> {
    let now = Instant::now();
    let mut tries = Tries::of_connection(&CallOptions::default(), now);
    let (pick, _) = first_pick(pool, &mut tries, now).await?;
    let (mut tried, mut addresses) = (vec![pick.member()], pool.addresses(pick.instance()).await?);
    while tried.len() < INSTANCES_MAX {
        let Ok(pick) = pool.pick_with(PickOptions::new().apart_from(&tried)) else { break };
        tried.push(pick.member());
        // One that has no address now is not an answer; the first one is.
        addresses.extend(pool.addresses(pick.instance()).await.unwrap_or_default());
    }
    Ok(addresses)
}
