//! Whether the registered address of an instance can be called at all. Consul accepts any text as an address and any number as a port.

use crate::{Host, agent::is_host};

/// Why an instance without a port is left out.
pub(super) const NO_PORT: &str = "it has no port, so it can't be called";

/// The host of a registered address.
///
/// # Errors
/// The reason why it is none: a text that is not a host name, no text, or an unspecified address, which a caller would connect to itself.
pub(super) fn host(text: &str) -> Result<Host, String> {
    match Host::from(text) {
        Host::Ip(ip) if ip.is_unspecified() => Err(format!("{ip} is not the address of a host")),
        Host::Name(_) if text.is_empty() => {
            Err("neither it nor its node has an address".to_owned())
        }
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
