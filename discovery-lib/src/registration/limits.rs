//! The bounds of a registration, checked before the first request.
//!
//! The limits of meta and weights are Consul's own (1.8.7 returns 400 beyond them). Consul accepts any name and any id; one that can't be part of
//! a URL or a DNS query would be registered, but no heartbeat, query or deregistration would reach it: Consul's server removes `//`, `/./` and
//! `/../` from a path and returns a redirect.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use http::Uri;

use super::{Check, Details, Registration};
use crate::{
    Host, Weights,
    agent::is_host,
    error::{Error, Kind},
    instance::INCARNATION,
};

/// The name of a service, in bytes: the limit of a DNS label.
const NAME_MAX: usize = 63;
/// An id, in bytes: it is part of each heartbeat's URL and of each answer's `Discovery-Instance`.
const ID_MAX: usize = 255;
/// Pairs of meta, the incarnation included.
const META_MAX: usize = 64;
/// A key of meta, in bytes.
const META_KEY_MAX: usize = 128;
/// A value of meta, in bytes.
const META_VALUE_MAX: usize = 512;
/// The prefix of meta keys that are reserved for Consul.
const META_RESERVED: &str = "consul-";
/// The interval of a polled check. Consul raises a shorter one; two polls must fail within the minute after which an agent deregisters.
const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30);
/// The shortest timeout of a poll.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
/// The name of a gRPC service, in bytes.
const NAME_OF_GRPC_MAX: usize = 255;
/// The target of a check, in bytes.
const TARGET_MAX: usize = 2048;

/// Checks all bounds.
///
/// # Errors
/// A value is out of bounds: the error names it and the bound.
pub(super) fn validate(registration: &Registration) -> Result<(), Error> {
    let problem = name(&registration.name)
        .or_else(|| registration.id.as_ref().and_then(|it| id(it.as_str())))
        .or_else(|| place(registration))
        .or_else(|| details(&registration.details))
        .or_else(|| check(registration));
    result(&registration.name, problem)
}

/// Checks the bounds of new details of this service.
///
/// # Errors
/// A value is out of bounds: the error names it and the bound.
pub(super) fn validate_details(name: &str, details: &Details) -> Result<(), Error> {
    result(name, self::details(details))
}

fn result(name: &str, problem: Option<String>) -> Result<(), Error> {
    match problem {
        None => Ok(()),
        Some(problem) => {
            Err(Error::new(Kind::Setting, format!("{name:?} can't be registered: {problem}")))
        }
    }
}

fn name(name: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (name.is_empty() || name.len() > NAME_MAX || !name.chars().all(fits)).then(|| {
        format!("a name must be valid in URLs and DNS: 1 to {NAME_MAX} letters, digits, - and _")
    })
}

fn id(id: &str) -> Option<String> {
    if id.is_empty() || id.len() > ID_MAX {
        return Some(format!("its id has {} bytes; the limit is 1 to {ID_MAX}", id.len()));
    }
    if id.chars().any(char::is_control) {
        return Some(format!("its id {id:?} has a control character, which is not valid in a URL"));
    }
    // Consul keeps an empty last segment, and no other.
    let path = id.strip_suffix('/').unwrap_or(id);
    path.split('/').any(|it| matches!(it, "" | "." | "..")).then(|| {
        format!(
            "its id {id:?} has an empty part, . or .. between slashes, which is not valid in a URL"
        )
    })
}

fn place(registration: &Registration) -> Option<String> {
    let host = match &registration.advertise.host {
        Some(Host::Ip(ip)) if ip.to_canonical().is_unspecified() => Some(ip.to_string()),
        Some(Host::Name(name)) if !is_host(name) => Some(name.to_string()),
        _ => None,
    };
    if let Some(host) = host {
        return Some(format!(
            "{host:?} can't be reached by others: advertise an address of this machine, or a host name"
        ));
    }
    (registration.port() == 0)
        .then(|| "its port is 0: use the one of the bound listener's local_addr()".to_owned())
}

fn details(details: &Details) -> Option<String> {
    meta(&details.meta).or_else(|| weights(details.weights))
}

fn meta(meta: &BTreeMap<String, String>) -> Option<String> {
    let own = META_MAX - 1;
    if meta.len() > own {
        let count = meta.len();
        return Some(format!(
            "{count} pairs of meta; the limit is {own}, because one more is added"
        ));
    }
    meta.iter().find_map(|(key, value)| pair(key, value))
}

fn pair(key: &str, value: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if key == INCARNATION {
        return Some(format!(
            "the meta key {INCARNATION} is reserved: it identifies one run of the instance"
        ));
    }
    if key.is_empty() || key.len() > META_KEY_MAX || !key.chars().all(fits) {
        return Some(format!(
            "the meta key {key:?} must have 1 to {META_KEY_MAX} letters, digits, - and _"
        ));
    }
    if key.starts_with(META_RESERVED) {
        return Some(format!(
            "the meta key {key:?}: the prefix {META_RESERVED} is reserved for Consul"
        ));
    }
    let len = value.len();
    (len > META_VALUE_MAX)
        .then(|| format!("the meta {key:?} has {len} bytes; the limit is {META_VALUE_MAX}"))
}

fn weights(weights: Weights) -> Option<String> {
    (weights.passing == 0)
        .then(|| "its weight while passing is 0; it must be 1 to 65535".to_owned())
}

fn check(registration: &Registration) -> Option<String> {
    if let Some(schedule) = registration.check.schedule() {
        let (interval, timeout) = (schedule.interval, schedule.timeout);
        if !INTERVAL.contains(&interval) {
            return Some(format!(
                "its check has an interval of {interval:?}: it must be 1 s to 30 s"
            ));
        }
        if !(TIMEOUT_MIN..=interval).contains(&timeout) {
            return Some(format!(
                "its check has a timeout of {timeout:?}: it must be 10 ms up to the interval, {interval:?}"
            ));
        }
    }
    match &registration.check {
        Check::Http { target, .. } => (!is_target(target)).then(|| {
            format!(
                "its check has the target {target:?}: it must be an absolute path or an http or https URL, of up to {TARGET_MAX} bytes"
            )
        }),
        Check::Grpc { service, .. } => (service.len() > NAME_OF_GRPC_MAX
            || !service.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))
        .then(|| {
            format!(
                "its check has the gRPC service {service:?}: it must have up to {NAME_OF_GRPC_MAX} letters, digits, '.', '_' and '-'"
            )
        }),
        Check::Alias { service } if *service == registration.service_id() => {
            Some("its check is an alias of itself".to_owned())
        }
        Check::Alias { service } => id(service.as_str()).map(|why| format!("its check: {why}")),
        Check::AliasNode { node } => (!is_host(node)).then(|| {
            format!("its check has the node {node:?}: it must be a host name")
        }),
        Check::Ttl | Check::Tcp { .. } | Check::None => None,
    }
}

fn is_target(target: &str) -> bool {
    let Ok(uri) = target.parse::<Uri>() else { return false };
    let is_url = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    target.len() <= TARGET_MAX && (target.starts_with('/') || is_url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::CheckSchedule;

    fn web() -> Registration {
        Registration::new("web", "127.0.0.1:80".parse().unwrap())
    }

    #[track_caller]
    fn accepted(registration: &Registration, expected: bool) {
        let checked = validate(registration);
        assert_eq!(checked.is_ok(), expected, "{registration:?}: {checked:?}");
        assert!(checked.err().is_none_or(|err| err.is_setting()));
    }

    #[test]
    fn a_name_is_valid_in_a_url_and_a_dns_label() {
        let (longest, longer) = ("n".repeat(NAME_MAX), "n".repeat(NAME_MAX + 1));
        for (name, expected) in [
            ("web", true),
            ("Web-1_a", true),
            (&longest, true),
            (&longer, false),
            ("", false),
            ("a.b", false),
            ("a b", false),
            ("a/b", false),
            ("a:80", false),
            ("käse", false),
            ("a\nb", false),
        ] {
            accepted(&Registration { name: name.to_owned(), ..web() }, expected);
        }
    }

    #[test]
    fn an_id_is_valid_in_a_url() {
        let (longest, longer) = ("i".repeat(ID_MAX), "i".repeat(ID_MAX + 1));
        for (id, expected) in [
            ("web-1", true),
            ("a/b", true),
            ("a/", true),
            ("a.b", true),
            ("..a", true),
            ("käse", true),
            ("a b%2F?c#d", true),
            (&longest, true),
            (&longer, false),
            ("", false),
            (".", false),
            ("..", false),
            ("/", false),
            ("/a", false),
            ("a//b", false),
            ("a//", false),
            ("a/./b", false),
            ("a/../b", false),
            ("a/..", false),
            ("a\nb", false),
            ("a\0", false),
        ] {
            accepted(&web().id(id), expected);
        }
    }

    #[test]
    fn meta_is_within_the_limits_of_consul() {
        let with = |count: usize| (0..count).fold(web(), |it, n| it.meta(format!("k{n}"), "v"));
        accepted(&with(63), true);
        accepted(&with(64), false);
        let (longest, longer) = ("k".repeat(128), "k".repeat(129));
        for (key, value, expected) in [
            ("zone-1_A", "any: thing\n", true),
            (&longest, &*"v".repeat(512), true),
            (&longer, "v", false),
            ("k", &"v".repeat(513), false),
            ("k", &"ä".repeat(257), false),
            ("k", "", true),
            ("", "v", false),
            ("a key", "v", false),
            ("a.key", "v", false),
            ("kä", "v", false),
            ("consul-key", "v", false),
            ("Consul-key", "v", true),
            (INCARNATION, "v", false),
        ] {
            accepted(&web().meta(key, value), expected);
        }
    }

    #[test]
    fn a_place_is_one_that_others_can_reach() {
        let unbound = Registration::new("web", "127.0.0.1:0".parse().unwrap());
        accepted(&unbound, false);
        accepted(&unbound.advertise(":80".parse().unwrap()), true);
        for (host, expected) in
            [("0.0.0.0", false), ("::", false), ("a b", false), ("web.example", true)]
        {
            let advertise = crate::Advertise { host: Some(host.into()), port: None };
            accepted(&web().advertise(advertise), expected);
        }
    }

    #[test]
    fn a_weight_while_passing_is_at_least_one() {
        for (passing, warning, expected) in
            [(1, 1, true), (1, 0, true), (u16::MAX, u16::MAX, true), (0, 1, false)]
        {
            accepted(&web().weights(Weights { passing, warning }), expected);
        }
    }

    #[test]
    fn a_check_is_within_its_bounds() {
        let every = |interval, timeout| {
            let new = CheckSchedule::new().interval(Duration::from_millis(interval));
            Check::tcp(new.timeout(Duration::from_millis(timeout)))
        };
        let http = |target: &str| Check::http(target, CheckSchedule::new());
        let grpc = |service: &str| Check::grpc(service, CheckSchedule::new());
        for (check, expected) in [
            (Check::Ttl, true),
            (Check::None, true),
            (every(1000, 10), true),
            (every(30_000, 30_000), true),
            (every(999, 10), false),
            (every(30_001, 10), false),
            (every(1000, 9), false),
            (every(1000, 1001), false),
            (http("/"), true),
            (http("/health?full=1"), true),
            (http("http://10.0.0.1:81/health"), true),
            (http("https://web.example/health"), true),
            (http(&format!("/{}", "p".repeat(TARGET_MAX - 1))), true),
            (http(&format!("/{}", "p".repeat(TARGET_MAX))), false),
            (http(""), false),
            (http("health"), false),
            (http("/a b"), false),
            (http("ftp://web/health"), false),
            (grpc(""), true),
            (grpc("pkg.Health_1"), true),
            (grpc("a/b"), false),
            (grpc(&"s".repeat(NAME_OF_GRPC_MAX + 1)), false),
            (Check::alias("db-1"), true),
            (Check::alias("web-1"), false),
            (Check::alias(""), false),
            (Check::alias_node("node-1"), true),
            (Check::alias_node(""), false),
            (Check::alias_node("a b"), false),
        ] {
            accepted(&web().id("web-1").check(check), expected);
        }
    }

    #[test]
    fn the_error_names_the_bounds_of_a_check() {
        let schedule = CheckSchedule::new().interval(Duration::from_millis(500));
        let err = validate(&web().check(Check::tcp(schedule))).unwrap_err().to_string();
        let expected = "\"web\" can't be registered: its check has an interval of 500ms: it must be 1 s to 30 s";
        assert_eq!(err, expected);
    }

    #[test]
    fn the_error_names_the_value_and_the_limit() {
        let err = validate(&web().meta("a key", "v")).unwrap_err().to_string();
        let expected = "\"web\" can't be registered: the meta key \"a key\" must have 1 to 128 letters, digits, - and _";
        assert_eq!(err, expected);
    }
}
