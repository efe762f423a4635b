//! Every route, in one table: method, path, action. A path that ends in `/` takes the rest of the path as its subject. The first matching row
//! counts, so a longer path comes before a shorter one.

use http::Method;

use super::{agent, catalog, health, request::Request, status};
use crate::{
    http::{
        lookup::Lookup,
        reply::{Failure, Later},
    },
    state::{Command, State},
};

/// The action of a route.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    /// Reads the state, which is locked during the read, and encodes the answer later.
    Show(fn(&Request<'_>, &State) -> Result<Later, Failure>),
    /// Looks up the catalog; may block until the answer changes.
    Ask(fn(&Request<'_>) -> Result<Lookup, Failure>),
    /// Shows one instance; may block until its content changes.
    Content,
    /// Changes the state.
    Change(fn(&Request<'_>) -> Result<Command, Failure>),
    /// Does not exist, and is answered as Consul does.
    Refuse(fn() -> Failure),
}

/// A row of the table.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) action: Action,
}

const fn get(path: &'static str, action: Action) -> Route {
    Route { method: Method::GET, path, action }
}

const fn put(path: &'static str, action: Action) -> Route {
    Route { method: Method::PUT, path, action }
}

use Action::{Ask, Change, Content, Refuse, Show};

/// The table.
pub(crate) const ROUTES: &[Route] = &[
    get("/v1/agent/self", Show(agent::show_self)),
    get("/v1/agent/members", Show(agent::members)),
    get("/v1/agent/services", Show(agent::services)),
    get("/v1/agent/checks", Show(agent::checks)),
    put("/v1/agent/maintenance", Change(agent::node_maintenance)),
    put("/v1/agent/service/register", Change(agent::register_service)),
    put("/v1/agent/service/deregister/", Change(agent::deregister_service)),
    put("/v1/agent/service/maintenance/", Change(agent::service_maintenance)),
    get("/v1/agent/service/", Content),
    put("/v1/agent/check/register", Change(agent::register_check)),
    put("/v1/agent/check/deregister/", Change(agent::deregister_check)),
    put("/v1/agent/check/pass/", Change(agent::pass)),
    put("/v1/agent/check/warn/", Change(agent::warn)),
    put("/v1/agent/check/fail/", Change(agent::fail)),
    put("/v1/agent/check/update/", Change(agent::update)),
    get("/v1/agent/health/service/id/", Show(agent::health_by_id)),
    get("/v1/agent/health/service/name/", Show(agent::health_by_name)),
    get("/v1/catalog/datacenters", Show(catalog::datacenters)),
    get("/v1/catalog/nodes", Ask(catalog::nodes)),
    get("/v1/catalog/services", Ask(catalog::services)),
    get("/v1/catalog/service/", Ask(catalog::service)),
    get("/v1/catalog/node/", Ask(catalog::node)),
    get("/v1/health/service/", Ask(health::service)),
    get("/v1/health/checks/", Ask(health::checks)),
    get("/v1/health/node/", Ask(health::node)),
    get("/v1/health/state/", Ask(health::state)),
    get("/v1/status/leader", Show(status::leader)),
    get("/v1/status/peers", Show(status::peers)),
    get("/v1/acl/", Refuse(status::no_acl)),
    put("/v1/acl/", Refuse(status::no_acl)),
];

/// Endpoints of Consul that this agent does not have. A 404 would be taken for an answer, such as that a key does not exist.
const NOT_OFFERED: &[&str] = &[
    "/v1/agent/connect/",
    "/v1/agent/force-leave/",
    "/v1/agent/host",
    "/v1/agent/join/",
    "/v1/agent/leave",
    "/v1/agent/metrics",
    "/v1/agent/monitor",
    "/v1/agent/reload",
    "/v1/agent/token/",
    "/v1/catalog/connect/",
    "/v1/catalog/deregister",
    "/v1/catalog/gateway-services/",
    "/v1/catalog/register",
    "/v1/config",
    "/v1/config/",
    "/v1/connect/",
    "/v1/coordinate/",
    "/v1/discovery-chain/",
    "/v1/event/",
    "/v1/health/connect/",
    "/v1/health/ingress/",
    "/v1/internal/",
    "/v1/kv",
    "/v1/kv/",
    "/v1/operator/",
    "/v1/query",
    "/v1/query/",
    "/v1/session/",
    "/v1/snapshot",
    "/v1/txn",
];

/// Whether Consul has a path that this agent does not offer.
pub(crate) fn is_not_offered(path: &str) -> bool {
    NOT_OFFERED.iter().any(|own| path == *own || own.ends_with('/') && path.starts_with(own))
}

/// The result of a lookup in the table.
pub(crate) enum Match {
    Route(&'static Route),
    /// The path exists for other methods.
    OtherMethods(Vec<&'static Method>),
    Nothing,
}

/// Finds the row.
pub(crate) fn find(method: &Method, path: &str) -> Match {
    let Some(first) = ROUTES.iter().find(|route| route.subject(path).is_some()) else {
        return Match::Nothing;
    };
    let same = || ROUTES.iter().filter(|route| route.path == first.path);
    match same().find(|route| route.method == *method) {
        Some(route) => Match::Route(route),
        None => Match::OtherMethods(same().map(|route| &route.method).collect()),
    }
}

impl Route {
    /// The rest of the path, if this row matches.
    pub(crate) fn subject<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.path)?;
        (rest.is_empty() || self.path.ends_with('/')).then_some(rest)
    }
}
