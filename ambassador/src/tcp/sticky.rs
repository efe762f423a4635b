//! The key by which a client always gets the same instance.

use std::net::IpAddr;

/// The key of a client address: its IP address. All clients on one host have the same, whatever their port.
pub(crate) fn key(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        // Neighbours of one network differ in the lower half, networks in the upper.
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            (bits >> 64) as u64 ^ (bits as u64).rotate_left(32)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_key_in_both_of_its_forms() {
        let key = |ip: &str| key(ip.parse().unwrap());
        assert_eq!(key("10.0.0.1"), key("::ffff:10.0.0.1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
        assert_ne!(key("fe80::1"), key("fe80::2"));
        assert_ne!(key("fe80::1"), key("fe81::1"));
    }
}
