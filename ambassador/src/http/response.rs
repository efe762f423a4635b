//! The head of a response: read as strictly as that of a request, and written for the client.

use discovery::tries::TryOutcome;
use http::StatusCode;
use httparse::{Header, Status};

use super::{
    fields::{Connection, Kind, kind},
    framing::{Framing, Lengths, Version},
    refusal::Persistence,
    request::{Headers, write_number},
    trailers::write_header,
    transfer::Sending,
};

/// The head of a response, in the buffer where it was read.
#[derive(Debug)]
pub(super) struct Response<'a> {
    pub(super) status: u16,
    pub(super) framing: Framing,
    version: Version,
    reason: &'a str,
    headers: &'a [Header<'a>],
    connection: Connection<'a>,
    /// The length that is stated, also where no body follows: in the answer to HEAD, and in a 304.
    stated: Option<u64>,
    upgrade: Option<&'a [u8]>,
}

/// It is not a response to the request that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Garbled;

impl<'a> Response<'a> {
    /// Reads a complete head.
    ///
    /// # Errors
    ///
    /// It is not HTTP/1.1 or 1.0, or its framing is ambiguous.
    pub(super) fn read(
        bytes: &'a [u8],
        room: &'a mut Headers<'a>,
        is_head: bool,
    ) -> Result<Self, Garbled> {
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut parsed, bytes, room) {
            Ok(Status::Complete(length)) if length == bytes.len() => {}
            _ => return Err(Garbled),
        }
        let (Some(status), Some(reason)) = (parsed.code, parsed.reason) else {
            return Err(Garbled);
        };
        if status < 100 {
            return Err(Garbled);
        }
        Self::of_headers(status, reason, Version::of(parsed.version), parsed.headers, is_head)
    }

    fn of_headers(
        status: u16,
        reason: &'a str,
        version: Version,
        headers: &'a [Header<'a>],
        is_head: bool,
    ) -> Result<Self, Garbled> {
        let (mut lengths, mut connection) = (Lengths::default(), Connection::default());
        let mut upgrade = None;
        for header in headers {
            match kind(header.name) {
                Kind::ContentLength => lengths.length(header),
                Kind::TransferEncoding => lengths.coding(header),
                Kind::Connection => connection.push(header.value).map_err(|_| Garbled)?,
                Kind::Upgrade => upgrade = Some(header.value),
                _ => {}
            }
        }
        let stated = lengths.framing(version).map_err(|_| Garbled)?;
        let has_no_body = is_head || status < 200 || matches!(status, 204 | 304);
        let framing =
            if has_no_body { Framing::Length(0) } else { stated.unwrap_or(Framing::UntilClose) };
        let stated = match stated {
            Some(Framing::Length(length)) if status >= 200 && status != 204 => Some(length),
            _ => None,
        };
        Ok(Self { status, framing, version, reason, headers, connection, stated, upgrade })
    }

    /// Whether the connection to the instance can be used again after this response.
    pub(super) fn is_persistent(&self) -> bool {
        self.framing != Framing::UntilClose
            && match self.version {
                Version::Http11 => !self.connection.has("close"),
                Version::Http10 => self.connection.has("keep-alive"),
            }
    }

    /// What it means for the try.
    pub(super) fn outcome(&self, status: StatusCode) -> TryOutcome {
        TryOutcome::of_head(status, |name| {
            let is_it = |header: &&Header<'_>| header.name.eq_ignore_ascii_case(name.as_str());
            self.headers.iter().find(is_it).map(|header| header.value)
        })
    }

    /// How its body is sent to a client of this version.
    pub(super) fn sending(&self, client: Version) -> Sending {
        match self.framing {
            Framing::Length(_) => Sending::Plain,
            Framing::Chunked | Framing::UntilClose if client >= Version::Http11 => Sending::Chunked,
            Framing::Chunked | Framing::UntilClose => Sending::Plain,
        }
    }

    /// Whether the client can tell the end of the body without the end of the connection.
    pub(super) fn is_delimited(&self, client: Version) -> bool {
        matches!(self.framing, Framing::Length(_)) || client >= Version::Http11
    }

    /// Appends the head for a client.
    pub(super) fn write(&self, out: &mut Vec<u8>, client: Version, persistence: Persistence) {
        self.write_status(out);
        let names_headers = self.connection.names_headers();
        for header in self.headers {
            let is_forwarded = matches!(
                kind(header.name),
                Kind::EndToEnd
                    | Kind::ForwardedFor
                    | Kind::ForwardedProto
                    | Kind::ForwardedHost
                    | Kind::Host
                    | Kind::Expect
            );
            if is_forwarded && !(names_headers && self.connection.has(header.name)) {
                write_header(out, header.name, header.value);
            }
        }
        self.write_framing(out, client);
        match self.upgrade.filter(|_| self.status == 101) {
            Some(upgrade) => {
                write_header(out, "Connection", b"upgrade");
                write_header(out, "Upgrade", upgrade);
            }
            None => persistence.write(out),
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_status(&self, out: &mut Vec<u8>) {
        let digits = [self.status / 100, self.status / 10 % 10, self.status % 10];
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend(digits.map(|digit| b'0' + digit as u8));
        out.push(b' ');
        out.extend_from_slice(self.reason.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    fn write_framing(&self, out: &mut Vec<u8>, client: Version) {
        match (self.framing, self.stated) {
            (Framing::Length(_), Some(length)) => write_number(out, "Content-Length", length),
            (Framing::Chunked | Framing::UntilClose, _) if client >= Version::Http11 => {
                write_header(out, "Transfer-Encoding", b"chunked");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
