//! Requests that this proxy answers itself, and the answers.

use std::borrow::Cow;

use http::StatusCode;

use super::trailers::write_header;

/// Why a request is not forwarded. The client gets the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) why: Cow<'static, str>,
}

impl Refusal {
    pub(super) const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why: Cow::Borrowed(why) }
    }

    pub(super) const fn bad(why: &'static str) -> Self {
        Self::new(400, why)
    }

    /// Appends it as a response with one line of text. Without its body if the method is HEAD.
    pub(super) fn write(&self, out: &mut Vec<u8>, persistence: Persistence, is_head: bool) {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|it| it.canonical_reason());
        let (status, reason, length) =
            (self.status, reason.unwrap_or_default(), self.why.len() + 1);
        let head = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        persistence.write(out);
        out.extend_from_slice(b"\r\n");
        if !is_head {
            out.extend_from_slice(self.why.as_bytes());
            out.push(b'\n');
        }
    }

    /// A service that can't be called by name.
    pub(super) fn not_found(service: &str, why: &str) -> Self {
        Self { status: 404, why: format!("the service {service} {why}").into() }
    }

    pub(super) const HEAD_LATE: Self =
        Self::new(408, "the head of the request was not complete in time");
    pub(super) const BODY_LATE: Self =
        Self::new(408, "no more of the body of the request came in time");
    pub(super) const BARE_LINE_END: Self = Self::bad("a line of the head does not end in CRLF");
    pub(super) const HEAD_TOO_LONG: Self =
        Self::new(431, "the head of the request has more than 100 headers or 32 KiB");
    pub(super) const BODY_BROKEN: Self =
        Self::bad("the body of the request is not in chunks as announced");
}

/// The Connection header of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Nothing: a client of HTTP/1.1 may send another request.
    Implied,
    /// `Connection: keep-alive`, for a client of HTTP/1.0.
    KeepAlive,
    /// `Connection: close`.
    Close,
}

impl Persistence {
    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Implied => {}
            Self::KeepAlive => write_header(out, "Connection", b"keep-alive"),
            Self::Close => write_header(out, "Connection", b"close"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_line_of_text() {
        for (persistence, is_head, expected) in [
            (Persistence::Close, false, "Connection: close\r\n\r\nno such service\n"),
            (Persistence::KeepAlive, true, "Connection: keep-alive\r\n\r\n"),
            (Persistence::Implied, true, "\r\n"),
        ] {
            let mut out = Vec::new();
            Refusal::new(404, "no such service").write(&mut out, persistence, is_head);
            let head = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 16\r\n";
            assert_eq!(String::from_utf8(out).unwrap(), format!("{head}{expected}"));
        }
    }
}
