//! Which hosts are services.

use std::sync::Arc;

use crate::Pool;

/// The pool of a service.
pub(super) type Find = Arc<dyn Fn(&str) -> Pool + Send + Sync>;

/// Whether a host is a service: without a dot, and neither `localhost` nor an IPv6 address.
pub(super) fn is_service(host: &str) -> bool {
    !host.contains(['.', ':']) && !host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_a_dot_is_a_service() {
        for (host, expected) in [
            ("web", true),
            ("web-2_x", true),
            ("localhost", false),
            ("LocalHost", false),
            ("example.com", false),
            ("example.", false),
            ("127.0.0.1", false),
            ("[::1]", false),
            ("::1", false),
        ] {
            assert_eq!(is_service(host), expected, "{host}");
        }
    }
}
