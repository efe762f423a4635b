//! Headers after a chunked body (RFC 9110, 6.5). Those that must not be there are dropped: they would change the framing, the routing or the
//! authorization of a message whose head has been read already.

use httparse::{EMPTY_HEADER, Status, parse_headers};

use super::fields::{Kind, kind};

/// Headers of one trailer section. More are dropped, with all others.
const TRAILERS_MAX: usize = 32;
/// Headers that are read from a head alone, besides those of [`Kind`].
const HEAD_ONLY: [&str; 10] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-range",
    "content-type",
    "cookie",
    "max-forwards",
    "range",
    "set-cookie",
    "trailer",
];

/// Appends the headers of a trailer section, without its empty line. A section that is not made of headers is dropped: trailers are optional
/// (RFC 9110, 6.5.1), and the end of the section is known.
pub(super) fn write_trailers(out: &mut Vec<u8>, section: &[u8]) {
    let mut headers = [EMPTY_HEADER; TRAILERS_MAX];
    if section.len() <= 2 {
        return;
    }
    let Ok(Status::Complete((_, headers))) = parse_headers(section, &mut headers) else { return };
    for header in headers {
        let is_allowed = kind(header.name) == Kind::EndToEnd
            && !HEAD_ONLY.iter().any(|name| header.name.eq_ignore_ascii_case(name));
        if is_allowed {
            write_header(out, header.name, header.value);
        }
    }
}

pub(super) fn write_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_that_belong_into_a_head_are_dropped() {
        for (section, expected) in [
            ("\r\n", ""),
            ("A: b\r\n\r\n", "A: b\r\n"),
            ("A:  b \r\nC:\r\n\r\n", "A: b\r\nC: \r\n"),
            ("Content-Length: 5\r\nA: b\r\n\r\n", "A: b\r\n"),
            ("transfer-encoding: chunked\r\nHost: x\r\nAuthorization: y\r\n\r\n", ""),
            ("A b: c\r\n\r\n", ""),
            (" folded\r\n\r\n", ""),
        ] {
            let mut out = Vec::new();
            write_trailers(&mut out, section.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{section:?}");
        }
    }
}
