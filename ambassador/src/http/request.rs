//! The head of a request: read strictly (RFC 9112), and written for an instance.

use std::{fmt::Write as _, mem::MaybeUninit, net::IpAddr};

use httparse::{Error, Header, Status};

use super::{
    fields::{Connection, Kind, TooMany, kind},
    framing::{BadFraming, Framing, Lengths, Version},
    refusal::Refusal,
    target::Target,
    trailers::write_header,
};

/// Headers of one message.
pub(super) const HEADERS_MAX: usize = 100;
/// Room for the headers of one message, while it is read.
pub(super) type Headers<'a> = [MaybeUninit<Header<'a>>; HEADERS_MAX];

/// The head of a request, in the buffer where it was read.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) version: Version,
    pub(super) framing: Framing,
    /// Of the target if that has one, else the header.
    pub(super) host: Option<&'a str>,
    target: Target<'a>,
    headers: &'a [Header<'a>],
    connection: Connection<'a>,
    expects_continue: bool,
    upgrade: Option<&'a [u8]>,
}

/// What a request gets on its way to an instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hop<'a> {
    /// The service, for `Discovery-Service`.
    pub(super) service: &'a str,
    /// The client. None: it has no address.
    pub(super) peer: Option<IpAddr>,
    /// Whether headers of the client about earlier hops are forwarded.
    pub(super) trusts_callers: bool,
}

impl<'a> Request<'a> {
    /// Reads a complete head.
    ///
    /// # Errors
    ///
    /// It is not a request that every parser understands in the same way, or it is not supported.
    pub(super) fn read(bytes: &'a [u8], room: &'a mut Headers<'a>) -> Result<Self, Refusal> {
        let mut parsed = httparse::Request::new(&mut []);
        let mut config = httparse::ParserConfig::default();
        config.allow_multiple_spaces_in_request_line_delimiters(false);
        match config.parse_request_with_uninit_headers(&mut parsed, bytes, room) {
            Ok(Status::Complete(length)) if length == bytes.len() => {}
            Ok(_) => return Err(Refusal::bad("the head of the request is not HTTP/1.1")),
            Err(error) => return Err(refusal(error, bytes)),
        }
        let (Some(method), Some(target)) = (parsed.method, parsed.path) else {
            return Err(Refusal::bad("the head of the request is not HTTP/1.1"));
        };
        let version = Version::of(parsed.version);
        Self::of_headers(method, Target::read(method, target)?, version, parsed.headers)
    }

    fn of_headers(
        method: &'a str,
        target: Target<'a>,
        version: Version,
        headers: &'a [Header<'a>],
    ) -> Result<Self, Refusal> {
        let (mut lengths, mut connection) = (Lengths::default(), Connection::default());
        let (mut host, mut expect, mut upgrade) = (None, None, None);
        for header in headers {
            match kind(header.name) {
                Kind::ContentLength => lengths.length(header),
                Kind::TransferEncoding => lengths.coding(header),
                Kind::Connection => connection
                    .push(header.value)
                    .map_err(|TooMany| Refusal::bad("too many Connection headers"))?,
                Kind::Host if host.replace(header.value).is_some() => {
                    return Err(Refusal::bad("more than one Host header"));
                }
                Kind::Expect => expect = Some(header.value),
                Kind::Upgrade => upgrade = Some(header.value),
                _ => {}
            }
        }
        let host = host_of(host, version)?;
        let framing = lengths.framing(version).map_err(bad_framing)?.unwrap_or(Framing::Length(0));
        let expects_continue = expects_continue(expect, version)?;
        let upgrade = upgrade.filter(|upgrade| {
            let can_upgrade = version >= Version::Http11 && framing == Framing::Length(0);
            can_upgrade && connection.has("upgrade") && is_relayed(upgrade)
        });
        let host = target.authority().or(host);
        Ok(Self {
            method,
            version,
            framing,
            host,
            target,
            headers,
            connection,
            expects_continue,
            upgrade,
        })
    }

    /// Whether the client expects to send another request on its connection.
    pub(super) fn is_persistent(&self) -> bool {
        match self.version {
            Version::Http11 => !self.connection.has("close"),
            Version::Http10 => self.connection.has("keep-alive") && !self.connection.has("close"),
        }
    }

    /// Whether the client waits for a 100 before it sends the body.
    pub(super) fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether another protocol may follow on its connection.
    pub(super) fn is_upgrade(&self) -> bool {
        self.upgrade.is_some()
    }

    /// Appends the head for an instance.
    pub(super) fn write(&self, out: &mut Vec<u8>, hop: &Hop<'_>) {
        out.extend_from_slice(self.method.as_bytes());
        out.push(b' ');
        self.target.write(out);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        let host = self.host.unwrap_or(hop.service);
        write_header(out, "Host", host.as_bytes());
        let mut seen = Forwarded::default();
        let names_headers = self.connection.names_headers();
        for header in self.headers {
            if names_headers && self.connection.has(header.name) {
                continue;
            }
            if self.is_forwarded(header, hop, &mut seen) {
                write_header(out, header.name, header.value);
            }
        }
        self.write_own(out, hop, seen, host);
        out.extend_from_slice(b"\r\n");
    }

    fn is_forwarded(&self, header: &Header<'_>, hop: &Hop<'_>, seen: &mut Forwarded) -> bool {
        match kind(header.name) {
            Kind::EndToEnd => hop.trusts_callers || !names_earlier_hop(header.name),
            Kind::Expect => self.expects_continue,
            // Written with this hop.
            Kind::ForwardedFor => {
                seen.has_for = hop.trusts_callers;
                false
            }
            Kind::ForwardedProto => {
                seen.has_proto |= hop.trusts_callers;
                hop.trusts_callers
            }
            Kind::ForwardedHost => {
                seen.has_host |= hop.trusts_callers;
                hop.trusts_callers
            }
            Kind::ContentLength
            | Kind::TransferEncoding
            | Kind::Connection
            | Kind::Host
            | Kind::Upgrade
            | Kind::Leaving
            | Kind::OneHop => false,
        }
    }

    /// The headers of this proxy.
    fn write_own(&self, out: &mut Vec<u8>, hop: &Hop<'_>, seen: Forwarded, host: &str) {
        match self.framing {
            Framing::Chunked => write_header(out, "Transfer-Encoding", b"chunked"),
            Framing::Length(length) if length > 0 || has_length(self.headers) => {
                write_number(out, "Content-Length", length);
            }
            Framing::Length(_) | Framing::UntilClose => {}
        }
        if let Some(upgrade) = self.upgrade {
            write_header(out, "Connection", b"upgrade");
            write_header(out, "Upgrade", upgrade);
        }
        self.write_forwarded_for(out, hop, seen);
        if !seen.has_proto {
            write_header(out, "X-Forwarded-Proto", b"http");
        }
        if !seen.has_host {
            write_header(out, "X-Forwarded-Host", host.as_bytes());
        }
        write_header(out, "Discovery-Service", hop.service.as_bytes());
    }

    fn write_forwarded_for(&self, out: &mut Vec<u8>, hop: &Hop<'_>, seen: Forwarded) {
        if !seen.has_for && hop.peer.is_none() {
            return;
        }
        out.extend_from_slice(b"X-Forwarded-For: ");
        let start = out.len();
        let earlier = self.headers.iter().filter(|header| kind(header.name) == Kind::ForwardedFor);
        for header in earlier.filter(|header| seen.has_for && !header.value.is_empty()) {
            separate(out, start);
            out.extend_from_slice(header.value);
        }
        if let Some(peer) = hop.peer {
            separate(out, start);
            write_text(out, format_args!("{}", peer.to_canonical()));
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// Which headers of earlier hops are forwarded.
#[derive(Debug, Clone, Copy, Default)]
struct Forwarded {
    has_for: bool,
    has_proto: bool,
    has_host: bool,
}

fn separate(out: &mut Vec<u8>, start: usize) {
    if out.len() > start {
        out.extend_from_slice(b", ");
    }
}

pub(super) fn write_number(out: &mut Vec<u8>, name: &str, number: u64) {
    write_text(out, format_args!("{name}: {number}\r\n"));
}

fn write_text(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    struct Bytes<'a>(&'a mut Vec<u8>);
    impl std::fmt::Write for Bytes<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    Bytes(out).write_fmt(text).expect("a vector takes any text");
}

fn has_length(headers: &[Header<'_>]) -> bool {
    headers.iter().any(|header| kind(header.name) == Kind::ContentLength)
}

/// Headers about earlier hops besides the three that this proxy sets: `Forwarded`, and those with underscores, which gateways to CGI and its
/// successors do not tell apart from hyphens.
fn names_earlier_hop(name: &str) -> bool {
    let is = |other: &str| {
        name.len() == other.len() && name.replace('_', "-").eq_ignore_ascii_case(other)
    };
    matches!(name.len(), 9 | 15..=17)
        && ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]
            .into_iter()
            .any(is)
}

/// The one valid Host. Required in HTTP/1.1.
fn host_of(host: Option<&[u8]>, version: Version) -> Result<Option<&str>, Refusal> {
    match host {
        None if version >= Version::Http11 => Err(Refusal::bad("there is no Host header")),
        None => Ok(None),
        Some(host) if !host.iter().all(is_of_host) => {
            Err(Refusal::bad("the Host header is not a host"))
        }
        Some(host) => Ok(std::str::from_utf8(host).ok()),
    }
}

/// The characters of a host and its port: RFC 3986 section 3.2.2.
pub(super) fn is_of_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=[]_~".contains(byte)
}

/// HTTP/1.0 has no expectations: there the header is ignored (RFC 9110, 10.1.1).
fn expects_continue(expect: Option<&[u8]>, version: Version) -> Result<bool, Refusal> {
    match expect {
        Some(expect) if version >= Version::Http11 => {
            let is_known = expect.eq_ignore_ascii_case(b"100-continue");
            let why = "the only supported expectation is 100-continue";
            is_known.then_some(true).ok_or(Refusal::new(417, why))
        }
        _ => Ok(false),
    }
}

/// Whether the protocol of an upgrade is relayed. HTTP/2 is not: its requests would pass without any check.
fn is_relayed(upgrade: &[u8]) -> bool {
    !upgrade.is_empty()
        && !upgrade.split(|byte| matches!(byte, b',' | b'/' | b' ')).any(|protocol| {
            [&b"h2c"[..], b"h2", b"http"].iter().any(|http| protocol.eq_ignore_ascii_case(http))
        })
}

fn bad_framing(bad: BadFraming) -> Refusal {
    let status = if bad == BadFraming::Unsupported { 501 } else { 400 };
    Refusal::new(status, bad.why())
}

fn refusal(error: Error, bytes: &[u8]) -> Refusal {
    match error {
        Error::TooManyHeaders => Refusal::HEAD_TOO_LONG,
        Error::Version if is_other_version(bytes) => {
            Refusal::new(505, "the supported versions are HTTP/1.1 and HTTP/1.0")
        }
        Error::HeaderName => Refusal::bad("a header has a name that is not one"),
        Error::HeaderValue | Error::NewLine => {
            Refusal::bad("a header has a character that is not allowed")
        }
        Error::Version | Error::Token | Error::Status => {
            Refusal::bad("the request does not start with a method, a target and HTTP/1.1")
        }
    }
}

/// Whether the first line is a request of another version of HTTP.
fn is_other_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').skip(2);
    let is_digits = |major: &u8, minor: &u8| major.is_ascii_digit() && minor.is_ascii_digit();
    match (words.next(), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor]), None) => is_digits(major, minor),
        _ => false,
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
