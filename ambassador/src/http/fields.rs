//! Headers by their meaning for a proxy: for one hop, for framing, set by this proxy, or forwarded as they are.

/// What a proxy does with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ContentLength,
    TransferEncoding,
    Connection,
    Host,
    Expect,
    Upgrade,
    /// One of the three `X-Forwarded-` headers that this proxy sets.
    ForwardedFor,
    ForwardedProto,
    ForwardedHost,
    /// `Discovery-Leaving`, which is for one hop.
    Leaving,
    /// Other headers for one hop (RFC 9110, 7.6.1), and `Discovery-Service`, which this proxy sets.
    OneHop,
    EndToEnd,
}

/// The kind of a header, by its name. The length alone excludes most names.
pub(super) fn kind(name: &str) -> Kind {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 if is("te") => Kind::OneHop,
        4 if is("host") => Kind::Host,
        6 if is("expect") => Kind::Expect,
        7 if is("upgrade") => Kind::Upgrade,
        10 if is("connection") => Kind::Connection,
        10 if is("keep-alive") => Kind::OneHop,
        14 if is("content-length") => Kind::ContentLength,
        15 if is("x-forwarded-for") => Kind::ForwardedFor,
        16 if is("x-forwarded-host") => Kind::ForwardedHost,
        16 if is("proxy-connection") => Kind::OneHop,
        17 if is("x-forwarded-proto") => Kind::ForwardedProto,
        17 if is("transfer-encoding") => Kind::TransferEncoding,
        17 if is("discovery-leaving") => Kind::Leaving,
        17 if is("discovery-service") => Kind::OneHop,
        18 if is("proxy-authenticate") => Kind::OneHop,
        19 if is("proxy-authorization") => Kind::OneHop,
        _ => Kind::EndToEnd,
    }
}

/// Values of `Connection` that are kept while the headers of a message are read. A message with more of them is refused.
const CONNECTIONS_MAX: usize = 4;

/// The `Connection` headers of a message.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Connection<'a> {
    values: [&'a [u8]; CONNECTIONS_MAX],
    count: usize,
}

/// There are too many `Connection` headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

impl<'a> Connection<'a> {
    /// # Errors
    ///
    /// There are too many.
    pub(super) fn push(&mut self, value: &'a [u8]) -> Result<(), TooMany> {
        *self.values.get_mut(self.count).ok_or(TooMany)? = value;
        self.count += 1;
        Ok(())
    }

    /// Whether it has this option: `close`, `keep-alive`, or the name of a header.
    pub(super) fn has(&self, option: &str) -> bool {
        self.options().any(|it| it.eq_ignore_ascii_case(option.as_bytes()))
    }

    /// Whether headers other than those of the protocol itself can be named in it, so that each header has to be looked up.
    pub(super) fn names_headers(&self) -> bool {
        self.options().any(|it| {
            !it.eq_ignore_ascii_case(b"close")
                && !it.eq_ignore_ascii_case(b"keep-alive")
                && !it.eq_ignore_ascii_case(b"upgrade")
        })
    }

    fn options(&self) -> impl Iterator<Item = &'a [u8]> {
        self.values[..self.count]
            .iter()
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|option| !option.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case() {
        for (name, expected) in [
            ("Content-Length", Kind::ContentLength),
            ("TRANSFER-ENCODING", Kind::TransferEncoding),
            ("connection", Kind::Connection),
            ("Te", Kind::OneHop),
            ("Keep-Alive", Kind::OneHop),
            ("Proxy-Connection", Kind::OneHop),
            ("Proxy-Authenticate", Kind::OneHop),
            ("Proxy-Authorization", Kind::OneHop),
            ("Discovery-Service", Kind::OneHop),
            ("Discovery-Leaving", Kind::Leaving),
            ("Upgrade", Kind::Upgrade),
            ("Expect", Kind::Expect),
            ("Host", Kind::Host),
            ("X-Forwarded-For", Kind::ForwardedFor),
            ("X-Forwarded-Proto", Kind::ForwardedProto),
            ("X-Forwarded-Host", Kind::ForwardedHost),
            ("Trailer", Kind::EndToEnd),
            ("Accept", Kind::EndToEnd),
            ("x", Kind::EndToEnd),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }

    #[test]
    fn options_of_all_lines_count() {
        let mut connection = Connection::default();
        assert!(!connection.has("close") && !connection.names_headers());
        connection.push(b" , Close,,keep-alive ").unwrap();
        assert!(connection.has("close") && connection.has("Keep-Alive"));
        assert!(!connection.names_headers());
        connection.push(b"X-Mine").unwrap();
        assert!(connection.has("x-mine") && connection.names_headers() && !connection.has("x"));
        connection.push(b"a").unwrap();
        connection.push(b"b").unwrap();
        assert_eq!(connection.push(b"c"), Err(TooMany));
    }
}
