//! How the body of a message is delimited (RFC 9112, 6). Strict: a message that another parser could frame differently is refused.

use httparse::Header;

/// How a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes. 0: there is no body.
    Length(u64),
    Chunked,
    /// It ends with the connection. Only responses.
    UntilClose,
}

/// Why the framing of a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadFraming {
    /// Content-Length and Transfer-Encoding.
    Both,
    /// More than one Content-Length, or one that is not a number.
    Length,
    /// A Transfer-Encoding that does not end in `chunked`, or twice, or in HTTP/1.0.
    Coding,
    /// A transfer coding besides `chunked`.
    Unsupported,
}

impl BadFraming {
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Both => "a message has Content-Length or Transfer-Encoding, not both",
            Self::Length => "Content-Length must be one number",
            Self::Coding => "Transfer-Encoding must be chunked, once, in HTTP/1.1",
            Self::Unsupported => "the only supported transfer coding is chunked",
        }
    }
}

/// The version of a message. Others are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    Http10,
    Http11,
}

impl Version {
    /// Of httparse's number of the minor version.
    pub(super) fn of(minor: Option<u8>) -> Self {
        if minor == Some(1) { Self::Http11 } else { Self::Http10 }
    }
}

/// The two headers that delimit a body, collected while the headers of a message are read once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lengths<'a> {
    length: Option<&'a [u8]>,
    coding: Option<&'a [u8]>,
    is_length_repeated: bool,
    is_coding_repeated: bool,
}

impl<'a> Lengths<'a> {
    pub(super) fn length(&mut self, header: &Header<'a>) {
        self.is_length_repeated |= self.length.replace(header.value).is_some();
    }

    pub(super) fn coding(&mut self, header: &Header<'a>) {
        self.is_coding_repeated |= self.coding.replace(header.value).is_some();
    }

    /// The framing that the headers state, if they state one.
    ///
    /// # Errors
    ///
    /// They contradict each other, or are not understood.
    pub(super) fn framing(&self, version: Version) -> Result<Option<Framing>, BadFraming> {
        match (self.length, self.coding) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(BadFraming::Both),
            (Some(_), None) if self.is_length_repeated => Err(BadFraming::Length),
            (Some(length), None) => {
                number(length).map(Framing::Length).map(Some).ok_or(BadFraming::Length)
            }
            (None, Some(_)) if self.is_coding_repeated || version < Version::Http11 => {
                Err(BadFraming::Coding)
            }
            (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Some(Framing::Chunked))
            }
            (None, Some(coding)) if ends_in_chunked(coding) => Err(BadFraming::Unsupported),
            (None, Some(_)) => Err(BadFraming::Coding),
        }
    }
}

/// Digits alone, without sign, list or space.
fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

fn ends_in_chunked(codings: &[u8]) -> bool {
    let last = codings.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    codings.contains(&b',') && last.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(version: Version, headers: &[(&str, &str)]) -> Result<Option<Framing>, BadFraming> {
        let mut lengths = Lengths::default();
        for (name, value) in headers {
            let header = Header { name, value: value.as_bytes() };
            match *name {
                "l" => lengths.length(&header),
                _ => lengths.coding(&header),
            }
        }
        lengths.framing(version)
    }

    #[test]
    fn bodies_are_framed_by_one_header_or_refused() {
        use BadFraming::{Both, Coding, Length, Unsupported};
        let length = |n| Ok(Some(Framing::Length(n)));
        for (headers, expected) in [
            (&[][..], Ok(None)),
            (&[("l", "0")], length(0)),
            (&[("l", "00012")], length(12)),
            (&[("l", "18446744073709551615")], length(u64::MAX)),
            (&[("l", "18446744073709551616")], Err(Length)),
            (&[("l", "")], Err(Length)),
            (&[("l", "+1")], Err(Length)),
            (&[("l", "-1")], Err(Length)),
            (&[("l", "1, 1")], Err(Length)),
            (&[("l", "0x1")], Err(Length)),
            (&[("l", "1 1")], Err(Length)),
            (&[("l", "1"), ("l", "1")], Err(Length)),
            (&[("l", "1"), ("t", "chunked")], Err(Both)),
            (&[("t", "chunked"), ("l", "x")], Err(Both)),
            (&[("t", "chunked")], Ok(Some(Framing::Chunked))),
            (&[("t", "CHUNKED")], Ok(Some(Framing::Chunked))),
            (&[("t", "chunked"), ("t", "chunked")], Err(Coding)),
            (&[("t", "gzip"), ("t", "chunked")], Err(Coding)),
            (&[("t", "gzip, chunked")], Err(Unsupported)),
            (&[("t", "chunked, gzip")], Err(Coding)),
            (&[("t", "xchunked")], Err(Coding)),
            (&[("t", "\"chunked\"")], Err(Coding)),
            (&[("t", "chunked;a=b")], Err(Coding)),
            (&[("t", "\u{b}chunked")], Err(Coding)),
            (&[("t", "identity")], Err(Coding)),
            (&[("t", "")], Err(Coding)),
        ] {
            assert_eq!(framing(Version::Http11, headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn http_1_0_has_no_chunks() {
        assert_eq!(framing(Version::Http10, &[("t", "chunked")]), Err(BadFraming::Coding));
        assert_eq!(framing(Version::Http10, &[("l", "1")]), Ok(Some(Framing::Length(1))));
    }
}
