//! Whether an instance can be called at all where the registry says that it is. Consul takes any text for an address and any number for a
//! port.

use crate::{Host, agent::is_host};

/// Why an instance without a port is left out.
pub(super) const NO_PORT: &str = "it has no port, so that it can't be called";

/// The host that a registry names.
///
/// # Errors
/// It is none, in words: a text that is no host name, nothing at all, or an address that a caller would take for itself.
pub(super) fn host(text: &str) -> Result<Host, String> {
    match Host::from(text) {
        Host::Ip(ip) if ip.is_unspecified() => Err(format!("{ip} is not the address of a host")),
        Host::Name(_) if text.is_empty() => Err("it has no address, nor has its node".to_owned()),
        Host::Name(_) if !is_host(text) => {
            Err(format!("{text:?} is neither an IP address nor a host name"))
        }
        host => Ok(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_an_address_or_a_name() {
        for text in ["10.0.0.1", "::1", "[::1]", "db", "db.example.", "my_db-1.example"] {
            assert_eq!(host(text), Ok(text.into()));
        }
        let (label, name) = (format!("{}.example", "x".repeat(64)), "abcdefghi.".repeat(26));
        for text in
            ["", " ", "a b", "http://x/", "käse", "a..b", ".", "0.0.0.0", "::", &label, &name]
        {
            host(text).unwrap_err();
        }
    }
}
