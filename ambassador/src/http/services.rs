//! The services of a proxy: the one of its route, or those that the Hosts of its requests name.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::Duration,
};

use discovery::{CallOptions, Pick, PickError, Pool, Query, tries::Budget};
use tokio::time::Instant;

use super::{refusal::Refusal, service::ServiceName};
use crate::{route::ActiveRoute, worker::Context};

/// Names with a pool. Each costs a query at the agent.
const NAMES_MAX: usize = 256;
/// How long a name is kept that no request uses.
const UNUSED_MAX: Duration = Duration::from_secs(60);

/// One service, as a worker calls it.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) pool: Pool,
    /// Of this worker: each has its share of the requests, and so of the retries.
    pub(super) budget: Budget,
    /// Whether it exists: it is the service of the route, or it had an instance.
    is_known: Cell<bool>,
    used_at: Cell<Instant>,
}

impl Service {
    fn new(pool: Pool, options: &CallOptions, is_known: bool, now: Instant) -> Option<Self> {
        let budget = Budget::new(options, now).ok()?;
        let (is_known, used_at) = (Cell::new(is_known), Cell::new(now));
        Some(Self { pool, budget, is_known, used_at })
    }

    /// The instance of a request, or the answer if there is none: 404 for a service that does not exist. For Consul that is the same as one
    /// without instances, so a name from a Host exists once it had one.
    pub(super) fn found(&self, picked: Result<Pick, PickError>) -> Result<Pick, Refusal> {
        let service = self.pool.service();
        picked.inspect(|_| self.is_known.set(true)).map_err(|error| match error {
            PickError::NoInstances if !self.is_known.get() => {
                Refusal::not_found(service, "is not in Consul")
            }
            error => Refusal { status: 503, why: format!("no call to {service}: {error}").into() },
        })
    }
}

/// Where a request goes.
#[derive(Debug)]
pub(super) enum Services {
    One(Rc<Service>),
    ByHost(RefCell<HashMap<Box<str>, Rc<Service>>>),
}

impl Services {
    pub(super) fn of(route: &ActiveRoute, options: &CallOptions) -> Self {
        let pool = route.pool.clone();
        let service = pool.and_then(|pool| Service::new(pool, options, true, Instant::now()));
        service.map_or_else(|| Self::ByHost(RefCell::default()), |it| Self::One(Rc::new(it)))
    }

    /// The service of a request.
    ///
    /// # Errors
    ///
    /// The host names none, or one that is not allowed, or there are too many.
    pub(super) fn find(
        &self,
        host: Option<&str>,
        allowed: Option<&[String]>,
        context: &Context,
        options: &CallOptions,
        now: Instant,
    ) -> Result<Rc<Service>, Refusal> {
        let names = match self {
            Self::One(service) => return Ok(Rc::clone(service)),
            Self::ByHost(names) => names,
        };
        let name = host.and_then(ServiceName::of_host);
        let name = name.ok_or(Refusal::new(404, "the Host of the request names no service"))?;
        if allowed.is_some_and(|allowed| !allowed.iter().any(|it| *it == name.service)) {
            return Err(Refusal::not_found(&name.service, "is not allowed"));
        }
        let key = name.key();
        if let Some(known) = names.borrow().get(&*key) {
            known.used_at.set(now);
            return Ok(Rc::clone(known));
        }
        let mut names = names.borrow_mut();
        make_room(&mut names)?;
        let mut query = Query::new(&*name.service);
        if let Some(datacenter) = &name.datacenter {
            query = query.datacenter(&**datacenter);
        }
        let discovery = context.discovery();
        if let Err(error) = discovery.check(query.clone()) {
            tracing::debug!(service = %name.service, %error, "service can't be looked up");
            return Err(Refusal::not_found(&name.service, "can't be looked up"));
        }
        let service = Service::new(discovery.pool(query), options, false, now)
            .ok_or(Refusal::new(500, "the options of calls are out of bounds"))?;
        let service = Rc::new(service);
        names.insert(key.into(), Rc::clone(&service));
        Ok(service)
    }

    /// Drops names that no request uses. Returns whether any is left to be dropped later.
    pub(super) fn drop_unused(&self, now: Instant) -> bool {
        let Self::ByHost(names) = self else { return false };
        let mut names = names.borrow_mut();
        names.retain(|_, service| now - service.used_at.get() < UNUSED_MAX);
        !names.is_empty()
    }
}

/// Makes room for a name. Names without instances, which a client can make up, do not keep out services.
fn make_room(names: &mut HashMap<Box<str>, Rc<Service>>) -> Result<(), Refusal> {
    if names.len() < NAMES_MAX {
        return Ok(());
    }
    let unknown = names.iter().filter(|(_, service)| !service.is_known.get());
    let oldest = unknown.min_by_key(|(_, service)| service.used_at.get());
    let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
        return Err(Refusal::new(503, "256 other services are in use, which is the limit"));
    };
    names.remove(&oldest);
    Ok(())
}
