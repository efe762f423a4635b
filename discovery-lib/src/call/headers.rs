//! The headers of the protocol between callers and instances, and the removal of hop-by-hop headers.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};

/// In a request: the name of the service that the caller calls. A server of another name answers 421, since addresses are reused.
pub const SERVICE: HeaderName = HeaderName::from_static("discovery-service");
/// In a 503: the instance is shutting down and refused the request before a handler got it, so callers send it to another instance at
/// once, with any method. Never in the response to a request that a handler may have served: callers would repeat it.
pub const LEAVING: HeaderName = HeaderName::from_static("discovery-leaving");
/// In a response: `<id>@<node>` of the instance that sent it, one per hop.
pub const INSTANCE: HeaderName = HeaderName::from_static("discovery-instance");

/// Removes the headers that are for the next hop alone (RFC 9110, 7.6.1), those that `Connection` names too, and `Discovery-Leaving`: passed
/// on by a gateway it would apply to the gateway.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let own: Vec<HeaderName> = headers.keys().filter(|name| is_hop_by_hop(name)).cloned().collect();
    for name in named.iter().chain(&own) {
        headers.remove(name);
    }
}

/// Whether the sender of a request takes trailers: of `TE`, only this goes to an instance, in HTTP/2 (RFC 9113, 8.2.2), where gRPC needs it.
#[cfg(feature = "http2")]
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|word| word.trim().eq_ignore_ascii_case("trailers"))
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    ) || *name == LEAVING
}

/// `Retry-After` in seconds. A date is ignored: it would need synchronized clocks.
pub(crate) fn retry_after(value: &[u8]) -> Option<Duration> {
    str::from_utf8(value).ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())
        };
        headers.iter().map(pair).collect()
    }

    #[test]
    fn headers_for_one_hop_end_there() {
        for (sent, left) in [
            (&[("accept", "*/*")][..], &[("accept", "*/*")][..]),
            (&[("connection", "close"), ("accept", "*/*")], &[("accept", "*/*")]),
            (
                &[("connection", "X-Mine, close"), ("x-mine", "1"), ("x-yours", "2")],
                &[("x-yours", "2")],
            ),
            (&[("te", "trailers"), ("upgrade", "h2c"), ("keep-alive", "timeout=5")], &[]),
            (&[("transfer-encoding", "chunked"), ("proxy-connection", "close")], &[]),
            (
                &[("discovery-leaving", "true"), ("discovery-service", "db")],
                &[("discovery-service", "db")],
            ),
        ] {
            let mut headers = map(sent);
            strip_hop_by_hop(&mut headers);
            assert_eq!(headers, map(left));
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds() {
        for (value, wait) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("-1", None),
            ("Fri, 31 Dec 1999 23:59:59 GMT", None),
        ] {
            assert_eq!(retry_after(value.as_bytes()), wait.map(Duration::from_secs));
        }
    }
}
