//! Odd responses of instances, and what comes of each.

use super::{
    instance::Answering::{self, AndClose, With},
    rows::Row,
};

/// Responses.
pub(super) const RESPONSES: &[Row] = &[
    response(
        "an empty response",
        With("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        "200 [content-length: 0]",
    ),
    response(
        "a response in chunks with trailers",
        With(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1;x\r\nb\r\n0\r\nX-Sum: 3\r\n\r\n",
        ),
        "200 [transfer-encoding: chunked] ab + X-Sum: 3;",
    ),
    Row {
        name: "chunks to a client of HTTP/1.0",
        sent: &["GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"],
        answering: With("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"),
        client: "200 [connection: close] a",
        instance: "GET / HTTP/1.1",
    },
    response(
        "a response that ends with its connection",
        AndClose("HTTP/1.0 200 OK\r\n\r\nall"),
        "200 [transfer-encoding: chunked] all",
    ),
    response(
        "204 with a length",
        With("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
        "204",
    ),
    response(
        "304 with a length",
        With("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
        "304 [content-length: 9]",
    ),
    Row {
        name: "HEAD",
        sent: &["HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"],
        answering: With("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
        client: "200 [content-length: 9]",
        instance: "HEAD / HTTP/1.1",
    },
    Row {
        name: "HEAD with a body in the response",
        sent: &["HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n"],
        answering: With("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        client: "200 [content-length: 2], 200 [content-length: 2]",
        instance: "HEAD /1 HTTP/1.1, HEAD /2 HTTP/1.1",
    },
    response(
        "bytes after a response",
        With(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        ),
        "200 ok",
    ),
    Row {
        name: "a response with Content-Length and chunks",
        sent: &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"],
        answering: With(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        client: "502",
        instance: "POST / HTTP/1.1 [content-length: 0]",
    },
    Row {
        name: "a response with two Content-Lengths",
        sent: &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"],
        answering: With("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
        client: "502",
        instance: "POST / HTTP/1.1 [content-length: 0]",
    },
    Row {
        name: "a response with bare LFs",
        sent: &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"],
        answering: With("HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
        client: "502",
        instance: "POST / HTTP/1.1 [content-length: 0]",
    },
    Row {
        name: "a response that is not HTTP",
        sent: &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"],
        answering: With("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        client: "502",
        instance: "POST / HTTP/1.1 [content-length: 0]",
    },
    Row {
        name: "an upgrade without a request for it",
        sent: &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"],
        answering: With(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        ),
        client: "502",
        instance: "POST / HTTP/1.1 [content-length: 0]",
    },
    Row {
        name: "no response",
        sent: &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"],
        answering: AndClose(""),
        client: "502",
        instance: "POST / HTTP/1.1 [content-length: 0]",
    },
    response(
        "a response that is cut off",
        AndClose("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
        "reset",
    ),
    response(
        "chunks that are cut off",
        AndClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        "reset",
    ),
    response(
        "chunks that are not chunks",
        With("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n"),
        "reset",
    ),
];

const fn response(name: &'static str, answering: Answering, client: &'static str) -> Row {
    let sent = &["GET / HTTP/1.1\r\nHost: a\r\n\r\n"];
    Row { name, sent, answering, client, instance: "GET / HTTP/1.1" }
}
