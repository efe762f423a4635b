//! A list of addresses from the settings, as a backend in place of Consul.

use std::{sync::Arc, time::Duration};

use super::{
    machine::Reply,
    snapshot::{Origin, Remarks},
};
use crate::{Error, Host, Instance, agent::split_host_port, error::Kind};

/// Parses `HOST:PORT,...`.
///
/// # Errors
/// For the first element that can't be used: names it and the reason.
pub(super) fn parse(list: &str) -> Result<Arc<[(Host, u16)]>, Error> {
    let wrong = |why: String| Error::new(Kind::Setting, why);
    let mut addresses = Vec::new();
    for text in list.split(',').map(str::trim) {
        let address = match split_host_port(text) {
            Some((Some(host), Some(port))) if port > 0 => (host, port),
            Some((Some(host), None)) => {
                return Err(wrong(format!("`{text}` has no port: write {host}:PORT")));
            }
            Some((Some(_), Some(_))) => {
                return Err(wrong(format!("`{text}` has port 0, which can't be called")));
            }
            Some((None, _)) => {
                return Err(wrong(format!("`{text}` has no host: write HOST{text}")));
            }
            None => {
                return Err(wrong(format!(
                    "`{text}` is not HOST:PORT (an IPv6 address needs brackets: [::1]:80)"
                )));
            }
        };
        if addresses.contains(&address) {
            return Err(wrong(format!("`{text}` is listed twice")));
        }
        addresses.push(address);
    }
    Ok(addresses.into())
}

/// A list of addresses as a backend.
#[derive(Debug, Clone)]
pub(super) struct Fixed {
    service: Arc<str>,
    addresses: Arc<[(Host, u16)]>,
}

impl Fixed {
    pub(super) fn new(service: Arc<str>, addresses: Arc<[(Host, u16)]>) -> Self {
        Self { service, addresses }
    }

    /// All passing, in the order of their ids.
    pub(super) fn reply(&self) -> Reply {
        let instance =
            |(host, port): &(Host, u16)| Instance::at(self.service.clone(), host.clone(), *port);
        let mut instances: Vec<_> = self.addresses.iter().map(instance).collect();
        instances.sort_by(|a, b| a.id.cmp(&b.id));
        Reply {
            origin: Origin::Fixed,
            instances: instances.into_iter().map(Arc::new).collect(),
            index: None,
            last_contact: Duration::ZERO,
            ttl: Duration::MAX,
            remarks: Remarks::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, expected: &str) {
        let parsed = parse(list).map_or_else(
            |err| err.to_string(),
            |addresses| {
                let shown = addresses.iter().map(|(host, port)| format!("{host} {port}"));
                shown.collect::<Vec<_>>().join(", ")
            },
        );
        assert_eq!(parsed, expected, "{list:?}");
    }

    #[test]
    fn a_list_is_parsed_or_its_wrong_element_named() {
        for (list, expected) in [
            ("10.0.0.1:80", "10.0.0.1 80"),
            ("db:80, [::1]:81,10.0.0.1:82", "db 80, [::1] 81, 10.0.0.1 82"),
            ("db", "`db` has no port: write db:PORT"),
            ("a:80,::1", "`::1` has no port: write [::1]:PORT"),
            (":80", "`:80` has no host: write HOST:80"),
            ("db:0", "`db:0` has port 0, which can't be called"),
            ("a:80,b:81,a:80", "`a:80` is listed twice"),
            ("a:80,", "`` is not HOST:PORT (an IPv6 address needs brackets: [::1]:80)"),
            ("", "`` is not HOST:PORT (an IPv6 address needs brackets: [::1]:80)"),
            (
                "http://db:80",
                "`http://db:80` is not HOST:PORT (an IPv6 address needs brackets: [::1]:80)",
            ),
        ] {
            check(list, expected);
        }
    }

    #[test]
    fn a_list_is_an_answer_of_passing_instances() {
        let reply = Fixed::new("web".into(), parse("b:2,a:1").unwrap()).reply();
        let expected = [Instance::at("web", "a".into(), 1), Instance::at("web", "b".into(), 2)];
        assert_eq!(
            (reply.instances, reply.origin),
            (expected.map(Arc::new).to_vec(), Origin::Fixed)
        );
    }
}
