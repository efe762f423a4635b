//! Chunked bodies: rows, and a comparison with a second, slow parser that reads whole bodies.

use proptest::prelude::*;

use super::*;

/// The data, the trailer section, and the length of the body.
type Decoded = (Vec<u8>, Vec<u8>, usize);

/// The data, the trailer section and the length of the body at the front, read in pieces that end at `cuts`. None: not complete.
fn decode(bytes: &[u8], cuts: &[usize]) -> Result<Option<Decoded>, Malformed> {
    let (mut state, mut at, mut data) = (Chunked::Line, 0, Vec::new());
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        let seen = &bytes[..cut.clamp(at, bytes.len())];
        loop {
            match state.next(&seen[at..])? {
                Step::More => break,
                Step::Framing(count) => at += count,
                Step::Data(count) => {
                    data.extend_from_slice(&seen[at..at + count]);
                    at += count;
                }
                Step::End(count) => {
                    return Ok(Some((data, seen[at..at + count].to_vec(), at + count)));
                }
            }
        }
    }
    Ok(None)
}

/// The same for a whole body, by splitting it at CRLF: no state, no partial input.
fn reference(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut rest, mut data) = (bytes, Vec::new());
    loop {
        let line_length = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..line_length]).ok()?;
        let digits = line.split(';').next()?;
        let is_size = !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_hexdigit());
        let size = is_size.then(|| usize::from_str_radix(digits, 16).ok())??;
        rest = &rest[line_length + 2..];
        if size == 0 {
            break;
        }
        let chunk = rest.get(..size)?;
        data.extend_from_slice(chunk);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    while let Some(line_length) = rest.windows(2).position(|pair| pair == b"\r\n") {
        rest = &rest[line_length + 2..];
        if line_length == 0 {
            return Some((data, bytes.len() - rest.len()));
        }
    }
    None
}

#[test]
fn bodies_are_decoded_and_their_end_is_found() {
    for (bytes, data, trailers, rest) in [
        ("0\r\n\r\n", "", "\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\n", "abc", "\r\n", ""),
        ("3\r\nabc\r\n0\r\n\r\nGET /", "abc", "\r\n", "GET /"),
        ("003;x=\"y z\"\r\na\r\n\r\n0000\r\n\r\n", "a\r\n", "\r\n", ""),
        ("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", "\r\n", ""),
        ("0\r\nA: b\r\nC: d\r\n\r\nX", "", "A: b\r\nC: d\r\n\r\n", "X"),
    ] {
        let (got, section, length) = decode(bytes.as_bytes(), &[]).unwrap().unwrap();
        assert_eq!(got, data.as_bytes(), "{bytes:?}");
        assert_eq!(section, trailers.as_bytes(), "{bytes:?}");
        assert_eq!(&bytes[length..], rest, "{bytes:?}");
    }
}

#[test]
fn bodies_that_others_could_frame_differently_are_errors() {
    let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(CHUNK_LINE_MAX));
    let trailers = format!("0\r\nA: {}\r\n\r\n", "x".repeat(TRAILERS_MAX));
    for bytes in [
        "\r\n",
        ";x\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1 \r\n",
        "1 ;x\r\n",
        "1\n",
        "1\ra",
        "1;a\nb\r\n",
        "1;a\rb\r\n",
        "1;\0\r\n",
        "1\r\naa",
        "1\r\na\n",
        "1\r\na\rb",
        "1000000000000000\r\n",
        "ffffffffffffffff1\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\n\n",
        &long,
        &trailers,
    ] {
        assert_eq!(decode(bytes.as_bytes(), &[]), Err(Malformed), "{bytes:?}");
    }
}

#[test]
fn limits_are_exact() {
    let line = |length: usize| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(length - 4));
    assert!(decode(line(CHUNK_LINE_MAX).as_bytes(), &[]).unwrap().is_some());
    assert_eq!(decode(line(CHUNK_LINE_MAX + 1).as_bytes(), &[]), Err(Malformed));
    let trailers = |length: usize| format!("0\r\nA: {}\r\n\r\n", "x".repeat(length - 7));
    assert!(decode(trailers(TRAILERS_MAX).as_bytes(), &[]).unwrap().is_some());
    assert_eq!(decode(trailers(TRAILERS_MAX + 1).as_bytes(), &[]), Err(Malformed));
}

/// Bytes that are nearly a chunked body.
fn nearly_chunked() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => prop::sample::select(vec!["1\r\na\r\n", "3\r\nabc\r\n", "2;x=y\r\n\r\n\r\n", "0a\r\n0123456789\r\n"]),
        2 => prop::sample::select(vec!["0\r\n\r\n", "0\r\n", "A: b\r\n", "\r\n"]),
        1 => prop::sample::select(vec!["\r", "\n", "1", "f", ";", " ", "a", "\0"]),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #[test]
    fn what_is_accepted_is_framed_as_the_slow_parser_does(
        bytes in nearly_chunked(), cuts in prop::collection::vec(0usize..80, 0..6),
    ) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let whole = decode(&bytes, &[]);
        prop_assert_eq!(&decode(&bytes, &cuts), &whole);
        let slow = reference(&bytes);
        match whole {
            Ok(Some((data, _, length))) => prop_assert_eq!(slow, Some((data, length))),
            Ok(None) => prop_assert_eq!(slow, None),
            Err(Malformed) => {}
        }
    }
}
