//! The service that a `Host` names, as in Consul's DNS: `rng`, `rng.service.consul`, `rng.service.DC.consul`, each with or without a port.

use std::borrow::Cow;

/// The domain of Consul's DNS.
const DOMAIN: &str = "consul";
/// The longest name of a service that is looked up: a label of DNS.
const NAME_MAX: usize = 63;

/// A service, and its datacenter if it is not the agent's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ServiceName<'a> {
    /// The service, in lower case.
    pub(super) service: Cow<'a, str>,
    /// The datacenter.
    pub(super) datacenter: Option<Cow<'a, str>>,
}

impl<'a> ServiceName<'a> {
    /// The service that a host names. None: it is an address, or the name of something else.
    pub(super) fn of_host(host: &'a str) -> Option<Self> {
        let host = without_port(host)?;
        let host = host.strip_suffix('.').unwrap_or(host);
        let mut labels = host.split('.');
        let service = labels.next().filter(|label| is_name(label))?;
        let rest = [labels.next(), labels.next(), labels.next()];
        let is = |label: &str, other: &str| label.eq_ignore_ascii_case(other);
        let datacenter = match rest {
            [None, ..] => None,
            [Some(kind), Some(domain), None] if is(kind, "service") && is(domain, DOMAIN) => None,
            [Some(kind), Some(datacenter), Some(domain)]
                if is(kind, "service") && is(domain, DOMAIN) && is_name(datacenter) =>
            {
                Some(lower(datacenter))
            }
            _ => return None,
        };
        labels.next().is_none().then(|| Self { service: lower(service), datacenter })
    }

    /// One text per service and datacenter.
    pub(super) fn key(&self) -> Cow<'_, str> {
        match &self.datacenter {
            None => Cow::Borrowed(&*self.service),
            Some(datacenter) => Cow::Owned(format!("{}.{datacenter}", self.service)),
        }
    }
}

/// Whether requests can name a service of this name by their Host.
pub(crate) fn is_named_by_host(name: &str) -> bool {
    ServiceName::of_host(name).is_some_and(|it| it.service == name)
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        text.to_ascii_lowercase().into()
    } else {
        text.into()
    }
}

fn without_port(host: &str) -> Option<&str> {
    match host.split_once(':') {
        None => Some(host),
        Some((name, port)) => port.bytes().all(|byte| byte.is_ascii_digit()).then_some(name),
    }
}

/// A label of DNS: letters, digits, `-` and `_`.
fn is_name(label: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.len() <= NAME_MAX && label.bytes().all(is_of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_names_a_service_as_in_consuls_dns() {
        for (host, expected) in [
            ("rng", Some(("rng", None))),
            ("RNG:8080", Some(("rng", None))),
            ("rng:", Some(("rng", None))),
            ("rng.", Some(("rng", None))),
            ("my-app_2", Some(("my-app_2", None))),
            ("rng.service.consul", Some(("rng", None))),
            ("rng.service.consul.:80", Some(("rng", None))),
            ("Rng.Service.Consul:80", Some(("rng", None))),
            ("rng.service.dc2.consul", Some(("rng", Some("dc2")))),
            ("rng.service.DC2.consul", Some(("rng", Some("dc2")))),
            ("", None),
            (":80", None),
            (".", None),
            ("rng..", None),
            ("rng:http", None),
            ("rng:1:2", None),
            ("a.example.com", None),
            ("rng.service", None),
            ("rng.consul", None),
            ("v1.rng.service.consul", None),
            ("rng.service.dc2.consul.org", None),
            ("rng.service..consul", None),
            ("rng.node.consul", None),
            ("127.0.0.1", None),
            ("[::1]:80", None),
            ("r/g", None),
            ("r%67", None),
            (&"r".repeat(64), None),
        ] {
            let service = ServiceName::of_host(host);
            let service = service.as_ref().map(|it| (&*it.service, it.datacenter.as_deref()));
            assert_eq!(service, expected, "{host:?}");
        }
    }
}
