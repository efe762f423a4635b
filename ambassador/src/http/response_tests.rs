//! Heads of responses: what is refused, and what a client gets.

use std::mem::MaybeUninit;

use super::*;

/// The head for a client, how the body is sent, and whether the connection to the instance stays.
fn forwarded(
    head: &str,
    is_head: bool,
    client: Version,
) -> Result<(String, Sending, bool), Garbled> {
    let mut room = [const { MaybeUninit::uninit() }; 100];
    let response = Response::read(head.as_bytes(), &mut room, is_head)?;
    let mut out = Vec::new();
    response.write(&mut out, client, Persistence::Implied);
    let sending = response.sending(client);
    Ok((String::from_utf8(out).unwrap(), sending, response.is_persistent()))
}

#[test]
fn heads_are_written_for_the_client() {
    use Sending::{Chunked, Plain};
    for (head, is_head, client, expected) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 05\r\nX: y\r\n\r\n",
            false,
            Version::Http11,
            ("HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\n", Plain, true),
        ),
        (
            "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
            false,
            Version::Http10,
            ("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", Plain, true),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n",
            false,
            Version::Http11,
            ("HTTP/1.1 200 OK\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n", Chunked, true),
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            false,
            Version::Http10,
            ("HTTP/1.1 200 OK\r\n\r\n", Plain, true),
        ),
        (
            "HTTP/1.0 200 OK\r\n\r\n",
            false,
            Version::Http11,
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Chunked, false),
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n",
            false,
            Version::Http11,
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", Plain, true),
        ),
    ] {
        let (text, sending, is_persistent) = expected;
        assert_eq!(forwarded(head, is_head, client), Ok((text.into(), sending, is_persistent)));
    }
}

#[test]
fn heads_without_a_body_keep_its_length() {
    use Sending::Plain;
    for (head, is_head, client, expected) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nDiscovery-Leaving: true\r\n\r\n",
            true,
            Version::Http11,
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", Plain, false),
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n",
            true,
            Version::Http11,
            ("HTTP/1.1 200 OK\r\n\r\n", Plain, true),
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
            false,
            Version::Http11,
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", Plain, true),
        ),
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            false,
            Version::Http11,
            ("HTTP/1.1 204 No Content\r\n\r\n", Plain, true),
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
            false,
            Version::Http11,
            (
                "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                Plain,
                true,
            ),
        ),
    ] {
        let (text, sending, is_persistent) = expected;
        assert_eq!(forwarded(head, is_head, client), Ok((text.into(), sending, is_persistent)));
    }
}

#[test]
fn ambiguous_heads_are_refused() {
    for head in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1,1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "HTTP/1.1 099 X\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "SSH-2.0-OpenSSH_9\r\n\r\n",
        "\r\n",
    ] {
        assert_eq!(forwarded(head, false, Version::Http11), Err(Garbled), "{head:?}");
    }
}
