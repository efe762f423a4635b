//! The bounds of a registration, checked before the first request.
//!
//! The limits of meta and weights are Consul's own (1.8.7 returns 400 beyond them). Consul accepts any name and any id; one that can't be part of
//! a URL or a DNS query would be registered, but no heartbeat, query or deregistration would reach it: Consul's server removes `//`, `/./` and
//! `/../` from a path and returns a redirect.

mod checks;

use std::collections::BTreeMap;

use super::{Details, Registration};
use crate::{
    Host, TaggedAddress, Weights,
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
/// Tagged addresses.
const TAGGED_MAX: usize = 16;

/// Checks all bounds.
///
/// # Errors
/// A value is out of bounds: the error names it and the bound.
pub(super) fn validate(registration: &Registration) -> Result<(), Error> {
    let problem = name(&registration.name)
        .or_else(|| registration.id.as_ref().and_then(|it| id(it.as_str())))
        .or_else(|| place(registration))
        .or_else(|| tagged_addresses(&registration.tagged_addresses))
        .or_else(|| details(&registration.details))
        .or_else(|| checks::problem(registration));
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
    if let Some(host) = &registration.advertise.host
        && !is_reachable(host)
    {
        let host = host.to_string();
        return Some(format!(
            "{host:?} can't be reached by others: advertise an address of this machine, or a host name"
        ));
    }
    (registration.port() == 0)
        .then(|| "its port is 0: use the one of the bound listener's local_addr()".to_owned())
}

fn tagged_addresses(tagged: &BTreeMap<String, TaggedAddress>) -> Option<String> {
    let count = tagged.len();
    if count > TAGGED_MAX {
        return Some(format!("{count} tagged addresses; the limit is {TAGGED_MAX}"));
    }
    tagged.iter().find_map(|(name, to)| tagged_address(name, to))
}

fn tagged_address(name: &str, to: &TaggedAddress) -> Option<String> {
    if !is_key(name) {
        return Some(format!(
            "the name {name:?} of a tagged address must have 1 to {META_KEY_MAX} letters, digits, - and _"
        ));
    }
    if !is_reachable(&to.host) {
        let host = to.host.to_string();
        return Some(format!(
            "the tagged address {name:?} has the host {host:?}: it must be an address of a machine, or a host name"
        ));
    }
    (to.port == 0)
        .then(|| format!("the tagged address {name:?} has the port 0: it must be 1 to 65535"))
}

/// Whether others could connect to a host that is written like this.
fn is_reachable(host: &Host) -> bool {
    match host {
        Host::Ip(ip) => !ip.to_canonical().is_unspecified(),
        Host::Name(name) => is_host(name),
    }
}

/// Whether Consul accepts this as the key of a pair.
fn is_key(key: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=META_KEY_MAX).contains(&key.len()) && key.chars().all(fits)
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
    if key == INCARNATION {
        return Some(format!(
            "the meta key {INCARNATION} is reserved: it identifies one run of the instance"
        ));
    }
    if !is_key(key) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> Registration {
        Registration::new("web", "127.0.0.1:80".parse().unwrap())
    }

    #[track_caller]
    fn accepted(registration: &Registration, expected: bool) {
        let checked = validate(registration);
        assert_eq!(checked.is_ok(), expected, "{registration:?}: {checked:?}");
        assert!(checked.err().is_none_or(|err| err.is_setting()));
    }

    /// The error continues like this.
    #[track_caller]
    fn refused(registration: &Registration, expected: Option<&str>) {
        let text = validate(registration).err().map(|err| err.to_string());
        let problem =
            text.as_deref().map(|it| it.trim_start_matches("\"web\" can't be registered: "));
        match expected {
            Some(start) => assert!(problem.is_some_and(|it| it.starts_with(start)), "{text:?}"),
            None => assert_eq!(problem, None),
        }
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
    fn a_tagged_address_has_a_name_a_host_and_a_port() {
        let (longest, longer) = ("n".repeat(128), "n".repeat(129));
        for (name, host, port, expected) in [
            ("wan", "203.0.113.1", 443, None),
            ("lan_ipv6", "[2001:db8::1]", 1, None),
            (&*longest, "web.example", 65535, None),
            (
                "",
                "web.example",
                1,
                Some(
                    "the name \"\" of a tagged address must have 1 to 128 letters, digits, - and _",
                ),
            ),
            (
                "a b",
                "web.example",
                1,
                Some(
                    "the name \"a b\" of a tagged address must have 1 to 128 letters, digits, - and _",
                ),
            ),
            (&*longer, "web.example", 1, Some("the name")),
            (
                "wan",
                "0.0.0.0",
                1,
                Some(
                    "the tagged address \"wan\" has the host \"0.0.0.0\": it must be an address of a machine, or a host name",
                ),
            ),
            (
                "wan",
                "a b",
                1,
                Some(
                    "the tagged address \"wan\" has the host \"a b\": it must be an address of a machine, or a host name",
                ),
            ),
            (
                "wan",
                "web.example",
                0,
                Some("the tagged address \"wan\" has the port 0: it must be 1 to 65535"),
            ),
        ] {
            refused(&web().tagged_address(name, host, port), expected);
        }
        let many = |count: usize| {
            (0..count).fold(web(), |it, n| it.tagged_address(n.to_string(), "web.example", 1))
        };
        refused(&many(TAGGED_MAX), None);
        refused(&many(TAGGED_MAX + 1), Some("17 tagged addresses; the limit is 16"));
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
    fn the_error_names_the_value_and_the_limit() {
        let err = validate(&web().meta("a key", "v")).unwrap_err().to_string();
        let expected = "\"web\" can't be registered: the meta key \"a key\" must have 1 to 128 letters, digits, - and _";
        assert_eq!(err, expected);
    }
}
