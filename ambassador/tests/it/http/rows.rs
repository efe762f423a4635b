//! Odd messages, and what comes of each.

use super::{
    instance::Answering::{self, Early, Interim, With},
    responses::RESPONSES,
};

/// One row: what a client sends, how the instance answers, and what both get.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) name: &'static str,
    /// A later part is sent once something has come for those before it.
    pub(super) sent: &'static [&'static str],
    pub(super) answering: Answering,
    /// What the client gets.
    pub(super) client: &'static str,
    /// What the instance gets.
    pub(super) instance: &'static str,
}

const OK: Answering = With("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

const fn request(
    name: &'static str,
    sent: &'static [&'static str],
    client: &'static str,
    instance: &'static str,
) -> Row {
    Row { name, sent, answering: OK, client, instance }
}

/// Requests that are in order.
const PLAIN: &[Row] = &[
    request("a request", &["GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n"], "200 ok", "GET /a?b HTTP/1.1"),
    request(
        "pipelined requests",
        &[
            "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        ],
        "200 ok, 200 ok, 200 [connection: close] ok",
        "GET /1 HTTP/1.1, POST /2 HTTP/1.1 [content-length: 3] abc, GET /3 HTTP/1.1",
    ),
    request(
        "bytes after the last request",
        &[
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
        "200 [connection: close] ok",
        "GET / HTTP/1.1",
    ),
    request(
        "an empty line before the request",
        &["\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"],
        "200 ok",
        "GET / HTTP/1.1",
    ),
    request(
        "chunks with extensions and trailers",
        &[
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n002\r\nbc\r\n0\r\nX-Sum: 6\r\n\r\n",
        ],
        "200 ok",
        "POST / HTTP/1.1 [transfer-encoding: chunked] abc + X-Sum: 6;",
    ),
    request(
        "trailers that would change the head",
        &[
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nContent-Length: 9\r\nX-Sum: 6\r\n\r\n",
        ],
        "200 ok",
        "POST / HTTP/1.1 [transfer-encoding: chunked] a + X-Sum: 6;",
    ),
    request(
        "a GET with a body",
        &["GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"],
        "200 ok",
        "GET / HTTP/1.1 [content-length: 1] x",
    ),
    request(
        "HTTP/1.0 without Host",
        &["GET / HTTP/1.0\r\n\r\n"],
        "200 [connection: close] ok",
        "GET / HTTP/1.1",
    ),
    request(
        "HTTP/1.0 with keep-alive",
        &["GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n"],
        "200 ok, 200 [connection: close] ok",
        "GET /1 HTTP/1.1, GET /2 HTTP/1.1",
    ),
    request(
        "a URL as target",
        &["GET http://b:80/x HTTP/1.1\r\nHost: a\r\n\r\n"],
        "200 ok",
        "GET /x HTTP/1.1",
    ),
    request(
        "OPTIONS *",
        &["OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"],
        "200 ok",
        "OPTIONS * HTTP/1.1",
    ),
    request(
        "an unknown method",
        &["BREW / HTTP/1.1\r\nHost: a\r\n\r\n"],
        "200 ok",
        "BREW / HTTP/1.1",
    ),
    request(
        "headers for one hop",
        &[
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Content-Length, keep-alive\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nx",
        ],
        "200 ok",
        "GET / HTTP/1.1 [content-length: 1] x",
    ),
    request(
        "an upgrade to HTTP/2",
        &[
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        ],
        "200 ok",
        "GET / HTTP/1.1",
    ),
];

/// Requests that are refused.
const REFUSED: &[Row] = &[
    request(
        "CONNECT",
        &["CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"],
        "501 [connection: close]",
        "nothing",
    ),
    request(
        "Content-Length and chunks",
        &[
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "the same Content-Length twice",
        &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "two Content-Lengths",
        &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a list of Content-Lengths",
        &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a Content-Length with a sign",
        &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "chunked twice",
        &[
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "gzip, chunked",
        &["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
        "501 [connection: close]",
        "nothing",
    ),
    request(
        "chunked, identity",
        &["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "xchunked",
        &["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "chunked after a vertical tab",
        &["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "chunks in HTTP/1.0",
        &["POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a space before the colon",
        &["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request("a bare LF", &["GET / HTTP/1.1\nHost: a\n\n"], "400 [connection: close]", "nothing"),
    request(
        "a bare LF in the head",
        &["GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a bare CR in the head",
        &["GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: z\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a folded header",
        &["GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a NUL in a header",
        &["GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a header without a name",
        &["GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request("no Host", &["GET / HTTP/1.1\r\n\r\n"], "400 [connection: close]", "nothing"),
    request(
        "two Hosts",
        &["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a Host with a path",
        &["GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a target without a slash",
        &["GET x HTTP/1.1\r\nHost: a\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a space in the target",
        &["GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a fragment in the target",
        &["GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request("HTTP/0.9", &["GET /\r\n\r\n"], "400 [connection: close]", "nothing"),
    request(
        "HTTP/1.2",
        &["GET / HTTP/1.2\r\nHost: a\r\n\r\n"],
        "505 [connection: close]",
        "nothing",
    ),
    request(
        "HTTP/2 without an upgrade",
        &["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
        "505 [connection: close]",
        "nothing",
    ),
    request("TLS", &["\u{16}\u{3}\u{1}\0\u{1}"], "400 [connection: close]", "nothing"),
    request(
        "another expectation",
        &["GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"],
        "417 [connection: close]",
        "nothing",
    ),
    request("a request that is cut off", &["GET / HTTP/1.1\r\nHost: a\r\n"], "closed", "nothing"),
    request(
        "a chunk size that is not one",
        &["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a chunk size of 17 digits",
        &[
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n",
        ],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a chunk that is longer than its size",
        &["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a bare LF after a chunk size",
        &["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n"],
        "400 [connection: close]",
        "nothing",
    ),
    request(
        "a bare LF in a chunk extension",
        &[
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\n1\r\na\r\n0\r\n\r\n",
        ],
        "400 [connection: close]",
        "nothing",
    ),
    Row {
        name: "a chunk that is malformed after the answer has begun",
        sent: &[
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
            "1\r\nabc\r\n0\r\n\r\n",
        ],
        answering: Interim("HTTP/1.1 100 Continue\r\n\r\n", ""),
        client: "100, 400 [connection: close]",
        instance: "POST / HTTP/1.1 [expect: 100-continue] [transfer-encoding: chunked] a (cut off)",
    },
];

/// Requests whose answer comes before their end.
const EARLY: &[Row] = &[
    Row {
        name: "100-continue",
        sent: &[
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
            "abc",
        ],
        answering: Interim(
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        client: "100, 200 ok",
        instance: "POST / HTTP/1.1 [expect: 100-continue] [content-length: 3] abc",
    },
    Row {
        name: "a final answer instead of 100",
        sent: &[
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
            "",
        ],
        answering: Early("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"),
        client: "413 [connection: close] no",
        instance: "POST / HTTP/1.1 [expect: 100-continue] [content-length: 3] (cut off)",
    },
    Row {
        name: "an answer before the body",
        sent: &["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", "def"],
        answering: Early("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"),
        client: "413 [connection: close] no",
        instance: "POST / HTTP/1.1 [content-length: 9] abc (cut off)",
    },
    Row {
        name: "103 before the answer",
        sent: &["GET / HTTP/1.1\r\nHost: a\r\n\r\n"],
        answering: With(
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        client: "103, 200 ok",
        instance: "GET / HTTP/1.1",
    },
    Row {
        name: "100 without a waiting client",
        sent: &["GET / HTTP/1.1\r\nHost: a\r\n\r\n"],
        answering: With(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        client: "200 ok",
        instance: "GET / HTTP/1.1",
    },
    Row {
        name: "103 to a client of HTTP/1.0",
        sent: &["GET / HTTP/1.0\r\n\r\n"],
        answering: With(
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        client: "200 [connection: close] ok",
        instance: "GET / HTTP/1.1",
    },
];

/// All rows, in the order of the table.
pub(super) fn all() -> impl Iterator<Item = &'static Row> {
    [PLAIN, REFUSED, EARLY, RESPONSES].into_iter().flatten()
}
