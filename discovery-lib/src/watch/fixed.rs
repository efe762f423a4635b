//! A list of addresses that a program was given, in place of anything that Consul knows.

use std::sync::Arc;

use tokio::time::Instant;

use super::snapshot::{Origin, Snapshot};
use crate::{Error, Host, Instance, agent::split_host_port, error::Kind};

/// Reads `HOST:PORT,...`.
///
/// # Errors
/// What is wrong with which element.
pub(super) fn parse(list: &str) -> Result<Arc<[(Host, u16)]>, Error> {
    let wrong = |why: String| Error::new(Kind::Setting, why);
    let mut places = Vec::new();
    for text in list.split(',').map(str::trim) {
        let place = match split_host_port(text) {
            Some((Some(host), Some(port))) if port > 0 => (host, port),
            Some((Some(host), None)) => {
                return Err(wrong(format!("`{text}` has no port: write {host}:PORT")));
            }
            Some((Some(_), Some(_))) => {
                return Err(wrong(format!("`{text}` has port 0, where nobody can be called")));
            }
            Some((None, _)) => {
                return Err(wrong(format!("`{text}` has no host: write HOST{text}")));
            }
            None => {
                return Err(wrong(format!(
                    "`{text}` is no HOST:PORT (an IPv6 address stands in brackets: [::1]:80)"
                )));
            }
        };
        if places.contains(&place) {
            return Err(wrong(format!("`{text}` stands there twice")));
        }
        places.push(place);
    }
    Ok(places.into())
}

/// The snapshot that such a list is: all passing, in the order of their ids.
pub(super) fn snapshot(service: &Arc<str>, places: &[(Host, u16)], now: Instant) -> Snapshot {
    let mut instances: Vec<_> = places
        .iter()
        .map(|(host, port)| Arc::new(Instance::at(service.clone(), host.clone(), *port)))
        .collect();
    instances.sort_by(|a, b| a.id.cmp(&b.id));
    Snapshot { instances: instances.into(), index: 0, origin: Origin::Fixed, as_of: now }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, expected: &str) {
        let read = parse(list).map_or_else(
            |err| err.to_string(),
            |places| {
                let places: Vec<_> =
                    places.iter().map(|(host, port)| format!("{host} {port}")).collect();
                places.join(", ")
            },
        );
        assert_eq!(read, expected, "{list:?}");
    }

    #[test]
    fn a_list_is_read_or_its_fault_named() {
        for (list, expected) in [
            ("10.0.0.1:80", "10.0.0.1 80"),
            ("db:80, [::1]:81,10.0.0.1:82", "db 80, [::1] 81, 10.0.0.1 82"),
            ("db", "`db` has no port: write db:PORT"),
            ("a:80,::1", "`::1` has no port: write [::1]:PORT"),
            (":80", "`:80` has no host: write HOST:80"),
            ("db:0", "`db:0` has port 0, where nobody can be called"),
            ("a:80,b:81,a:80", "`a:80` stands there twice"),
            ("a:80,", "`` is no HOST:PORT (an IPv6 address stands in brackets: [::1]:80)"),
            ("", "`` is no HOST:PORT (an IPv6 address stands in brackets: [::1]:80)"),
            (
                "http://db:80",
                "`http://db:80` is no HOST:PORT (an IPv6 address stands in brackets: [::1]:80)",
            ),
        ] {
            check(list, expected);
        }
    }

    #[test]
    fn a_list_is_a_snapshot_of_passing_instances() {
        let now = Instant::now();
        let snapshot = snapshot(&"web".into(), &parse("b:2,a:1").unwrap(), now);
        let expected =
            [Instance::at("web", "a".into(), 1), Instance::at("web", "b".into(), 2)].map(Arc::new);
        assert_eq!(*snapshot.instances, expected);
        assert_eq!((snapshot.index, snapshot.origin, snapshot.as_of), (0, Origin::Fixed, now));
    }
}
