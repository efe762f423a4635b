//! The metrics of the routes, read from the counters of the workers at each scrape.

use std::sync::Arc;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::{
    connection_limit::ConnectionLimit,
    counters::{Count, Counters},
    route::ActiveRoute,
};

type Labels = Vec<(&'static str, String)>;

/// A number of each worker's counters, to be added up.
type Read = fn(&Counters) -> &Count;

/// Why connections are refused, and where that is counted.
const REFUSALS: [(&str, Read); 3] = [
    ("route limit", |it| &it.over_route_limit),
    ("total limit", |it| &it.over_total_limit),
    ("no instance", |it| &it.not_connected),
];
const DIRECTIONS: [(&str, Read); 2] =
    [("to instance", |it| &it.to_instances), ("to client", |it| &it.to_clients)];
/// How connections end that do not end in order.
const BREAKS: [(&str, Read); 2] = [("broken", |it| &it.broken), ("cut", |it| &it.cut)];

const UDP_DIRECTIONS: [(&str, Read); 2] =
    [("to instance", |it| &it.udp.to_instances), ("to client", |it| &it.udp.to_clients)];
const UDP_DROPS: [(&str, Read); 2] =
    [("no instance", |it| &it.udp.no_instance), ("not sent", |it| &it.udp.not_sent)];
const UDP_SESSIONS: [(&str, Read); 4] = [
    ("begun", |it| &it.udp.begun),
    ("ended", |it| &it.udp.ended),
    ("evicted", |it| &it.udp.evicted),
    ("moved", |it| &it.udp.moved),
];
/// Responses to clients of HTTP routes, by the first digit of the status.
const RESPONSES: [(&str, Read); 5] = [
    ("1xx", |it| &it.http.responses[0]),
    ("2xx", |it| &it.http.responses[1]),
    ("3xx", |it| &it.http.responses[2]),
    ("4xx", |it| &it.http.responses[3]),
    ("5xx", |it| &it.http.responses[4]),
];
/// Responses that the ambassador made itself.
const OWN_RESPONSES: [(&str, Read); 2] =
    [("refused", |it| &it.http.refused), ("no answer", |it| &it.http.failed)];
/// Tries of HTTP requests that failed.
const FAILED_TRIES: [(&str, Read); 6] = [
    ("not connected", |it| &it.http.tries.not_connected),
    ("closed", |it| &it.http.tries.closed),
    ("late", |it| &it.http.tries.late),
    ("garbled", |it| &it.http.tries.garbled),
    ("elsewhere", |it| &it.http.tries.elsewhere),
    ("answered", |it| &it.http.tries.answered),
];
/// The connections to instances on which HTTP requests are sent.
const UPSTREAMS: [(&str, Read); 3] = [
    ("opened", |it| &it.http.opened),
    ("reused", |it| &it.http.reused),
    ("upgraded", |it| &it.http.upgraded),
];

/// Adds the metrics of these routes. Each has the labels `listen` and `service`.
pub(crate) fn register(
    registry: &mut Registry,
    routes: &[Arc<ActiveRoute>],
    limit: &ConnectionLimit,
) {
    let one: [(&str, Read); 1] = [("", |it| &it.accepted)];
    let counters = |label, reads: &[(&'static str, Read)]| counters(routes, label, reads);
    registry.register("connections", "Connections that are open", open(routes));
    registry.register(
        "connections_limit",
        "Connections that may be open on all routes",
        gauge(limit.max()),
    );
    registry.register(
        "accepted",
        "Connections accepted, the refused ones included",
        counters(None, &one),
    );
    registry.register(
        "refused",
        "Connections that were reset without an instance, by reason",
        counters(Some("reason"), &REFUSALS),
    );
    registry.register(
        "interrupted",
        "Connections that did not end in order: broken by an end, or cut at a limit",
        counters(Some("how"), &BREAKS),
    );
    registry.register_with_unit(
        "relayed",
        "Bytes of connections and datagrams, by direction",
        Unit::Bytes,
        counters(Some("direction"), &DIRECTIONS),
    );
    if routes.iter().any(|route| route.is_udp()) {
        register_udp(registry, routes);
    }
    if routes.iter().any(|route| route.is_http()) {
        register_http(registry, routes);
    }
}

fn register_udp(registry: &mut Registry, routes: &[Arc<ActiveRoute>]) {
    let counters = |label, reads: &[(&'static str, Read)]| counters(routes, label, reads);
    registry.register(
        "datagrams",
        "Datagrams of UDP routes that were relayed, by direction",
        counters(Some("direction"), &UDP_DIRECTIONS),
    );
    registry.register(
        "datagrams_dropped",
        "Datagrams of UDP routes that were not relayed, by reason",
        counters(Some("reason"), &UDP_DROPS),
    );
    registry.register(
        "udp_sessions",
        "Sessions of UDP routes: begun, ended (the evicted ones included), evicted at the limit, moved to another instance",
        counters(Some("what"), &UDP_SESSIONS),
    );
}

fn register_http(registry: &mut Registry, routes: &[Arc<ActiveRoute>]) {
    let broken: [(&str, Read); 1] = [("", |it| &it.http.broken)];
    let counters = |label, reads: &[(&'static str, Read)]| counters(routes, label, reads);
    registry.register(
        "http_responses",
        "Responses to clients, by status",
        counters(Some("status"), &RESPONSES),
    );
    registry.register(
        "http_own_responses",
        "Responses made by the ambassador: to requests that it refused, or that no instance answered",
        counters(Some("reason"), &OWN_RESPONSES),
    );
    registry.register(
        "http_failed_tries",
        "Tries of requests that failed, by reason",
        counters(Some("reason"), &FAILED_TRIES),
    );
    registry.register(
        "http_broken_responses",
        "Responses that were cut off, since the instance did not send all of them",
        counters(None, &broken),
    );
    registry.register(
        "http_upstream_connections",
        "Connections to instances: opened, reused for another request, upgraded to another protocol",
        counters(Some("event"), &UPSTREAMS),
    );
}

fn labels(route: &ActiveRoute) -> Labels {
    vec![("listen", route.listeners.at.to_string()), ("service", route.service().to_owned())]
}

fn counters(
    routes: &[Arc<ActiveRoute>],
    label: Option<&'static str>,
    reads: &[(&'static str, Read)],
) -> Family<Labels, Counter> {
    let family = Family::<Labels, Counter>::default();
    for route in routes {
        for (value, read) in reads {
            let mut labels = labels(route);
            labels.extend(label.map(|label| (label, (*value).to_owned())));
            let sum = route.counters.iter().map(|counters| read(counters).get()).sum();
            family.get_or_create(&labels).inc_by(sum);
        }
    }
    family
}

fn open(routes: &[Arc<ActiveRoute>]) -> Family<Labels, Gauge> {
    let family = Family::<Labels, Gauge>::default();
    for route in routes {
        family.get_or_create(&labels(route)).set(to_i64(route.limit.in_use()));
    }
    family
}

fn gauge(value: usize) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(to_i64(value));
    gauge
}

fn to_i64(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
