//! What can be registered at all, checked before anything is sent.
//!
//! The limits of meta and weights are Consul's own (1.8.7 answers 400 beyond them). It takes any name and any id; those that no URL and no DNS
//! question can carry would be registered and never be found, beaten for or deregistered again: its server cleans `//`, `/./` and `/../` out
//! of a path, and answers with a redirect.

use super::Registration;
use crate::{
    Host,
    agent::is_host,
    error::{Error, Kind},
    instance::INCARNATION,
};

/// A service's name, in bytes: what a label in DNS can have.
const NAME_MAX: usize = 63;
/// An id, in bytes: it is part of each heartbeat's URL and of each answer's `Discovery-Instance`.
const ID_MAX: usize = 255;
/// Pairs of meta, the incarnation included.
const META_MAX: usize = 64;
/// A key of meta, in bytes.
const META_KEY_MAX: usize = 128;
/// A value of meta, in bytes.
const META_VALUE_MAX: usize = 512;
/// Keys of meta that begin so are Consul's.
const META_RESERVED: &str = "consul-";

/// Whether this can be registered.
///
/// # Errors
/// What it can't be registered with, and what would be right.
pub(super) fn check(registration: &Registration) -> Result<(), Error> {
    let problem = name(&registration.name)
        .or_else(|| registration.id.as_ref().and_then(|it| id(it.as_str())))
        .or_else(|| place(registration))
        .or_else(|| meta(registration))
        .or_else(|| weights(registration));
    match problem {
        None => Ok(()),
        Some(problem) => {
            let name = &registration.name;
            Err(Error::new(Kind::Setting, format!("{name:?} can't be registered: {problem}")))
        }
    }
}

fn name(name: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (name.is_empty() || name.len() > NAME_MAX || !name.chars().all(fits)).then(|| {
        format!(
            "a name is a host in URLs and a label in DNS: 1 to {NAME_MAX} letters, digits, - and _"
        )
    })
}

fn id(id: &str) -> Option<String> {
    if id.is_empty() || id.len() > ID_MAX {
        return Some(format!("its id has {} bytes; 1 to {ID_MAX} are taken", id.len()));
    }
    if id.chars().any(char::is_control) {
        return Some(format!("its id {id:?} has a control character, which no URL carries"));
    }
    // An empty last segment is the one that Consul keeps.
    let path = id.strip_suffix('/').unwrap_or(id);
    path.split('/').any(|it| matches!(it, "" | "." | "..")).then(|| {
        format!("its id {id:?} has an empty part, . or .. between slashes, which no URL carries")
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
            "{host:?} is no address at which others could find it: say one of this machine's own, or a host name"
        ));
    }
    (registration.port() == 0)
        .then(|| "its port is 0: take that of the bound listener's local_addr()".to_owned())
}

fn meta(registration: &Registration) -> Option<String> {
    let own = META_MAX - 1;
    if registration.meta.len() > own {
        let count = registration.meta.len();
        return Some(format!("{count} pairs of meta; {own} are taken, and one more is ours"));
    }
    registration.meta.iter().find_map(|(key, value)| pair(key, value))
}

fn pair(key: &str, value: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if key == INCARNATION {
        return Some(format!(
            "the meta key {INCARNATION} is taken: it tells one run from the next"
        ));
    }
    if key.is_empty() || key.len() > META_KEY_MAX || !key.chars().all(fits) {
        return Some(format!(
            "the meta key {key:?}: it takes 1 to {META_KEY_MAX} letters, digits, - and _"
        ));
    }
    if key.starts_with(META_RESERVED) {
        return Some(format!("the meta key {key:?}: what begins with {META_RESERVED} is Consul's"));
    }
    let len = value.len();
    (len > META_VALUE_MAX)
        .then(|| format!("the meta {key:?} has {len} bytes; {META_VALUE_MAX} are taken"))
}

fn weights(registration: &Registration) -> Option<String> {
    (registration.weights.passing == 0)
        .then(|| "its weight while passing is 0; Consul takes 1 to 65535".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Weights;

    fn web() -> Registration {
        Registration::new("web", "127.0.0.1:80".parse().unwrap())
    }

    #[track_caller]
    fn taken(registration: &Registration, expected: bool) {
        let checked = check(registration);
        assert_eq!(checked.is_ok(), expected, "{registration:?}: {checked:?}");
        assert!(checked.err().is_none_or(|err| err.is_setting()));
    }

    #[test]
    fn a_name_is_what_a_url_and_a_dns_label_can_carry() {
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
            taken(&Registration { name: name.to_owned(), ..web() }, expected);
        }
    }

    #[test]
    fn an_id_is_what_a_url_can_carry() {
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
            taken(&web().id(id), expected);
        }
    }

    #[test]
    fn meta_is_what_consul_takes() {
        let with = |count: usize| (0..count).fold(web(), |it, n| it.meta(format!("k{n}"), "v"));
        taken(&with(63), true);
        taken(&with(64), false);
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
            taken(&web().meta(key, value), expected);
        }
    }

    #[test]
    fn a_place_is_one_that_others_can_reach() {
        let unbound = Registration::new("web", "127.0.0.1:0".parse().unwrap());
        taken(&unbound, false);
        taken(&unbound.advertise(":80".parse().unwrap()), true);
        for (host, expected) in
            [("0.0.0.0", false), ("::", false), ("a b", false), ("web.example", true)]
        {
            let advertise = crate::Advertise { host: Some(host.into()), port: None };
            taken(&web().advertise(advertise), expected);
        }
    }

    #[test]
    fn a_weight_while_passing_is_at_least_one() {
        for (passing, warning, expected) in
            [(1, 1, true), (1, 0, true), (u16::MAX, u16::MAX, true), (0, 1, false)]
        {
            taken(&web().weights(Weights { passing, warning }), expected);
        }
    }

    #[test]
    fn the_reason_and_the_limit_are_said() {
        let err = check(&web().meta("a key", "v")).unwrap_err().to_string();
        let said = "\"web\" can't be registered: the meta key \"a key\": it takes 1 to 128 letters, digits, - and _";
        assert_eq!(err, said);
    }
}
