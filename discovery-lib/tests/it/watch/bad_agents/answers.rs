//! Responses that are no answer: refusals, and bodies that are not what was asked for.

use super::*;

/// More than the limit of a body.
const TOO_LONG: usize = 33 << 20;

fn refusal(status: u16, body: &str) -> Act {
    Act::always([send(response(status, "", body))])
}

/// 200 with an index and this body.
fn body(body: &str) -> Act {
    Act::always([send(response(200, "X-Consul-Index: 2000000\r\n", body))])
}

/// 200 with these header lines and bytes, and then this.
fn raw(headers: &str, body: &str, then: impl IntoIterator<Item = Step>) -> Act {
    let head = format!("HTTP/1.1 200 OK\r\nX-Consul-Index: 2000000\r\n{headers}\r\n{body}");
    Act::always([send(head)].into_iter().chain(then).collect::<Vec<_>>())
}

const CLOSE: [Step; 1] = [Step::End(testkit::scripted::End::Close)];

pub(super) fn refusals() -> Vec<Row> {
    vec![
        Row::fails(
            "has no leader",
            refusal(500, "No cluster leader"),
            "the agent at AGENT answered 500: No cluster leader",
        ),
        Row::fails(
            "limits the rate",
            refusal(429, "rate limit exceeded"),
            "the agent at AGENT answered 429: rate limit exceeded",
        ),
        Row::fails("is not available", refusal(503, ""), "the agent at AGENT answered 503"),
        Row::fails(
            "denies the token",
            refusal(403, "ACL not found"),
            "the agent at AGENT answered 403: ACL not found",
        ),
        Row::fails("has no such path", refusal(404, ""), "the agent at AGENT answered 404"),
        Row::fails(
            "redirects to an agent that does not exist",
            Act::always([send(response(301, "Location: http://127.0.0.1:1/\r\n", ""))]),
            "the agent at AGENT answered 301",
        ),
        Row::fails(
            "hides all instances by its ACLs and says so",
            Act::always([send(response(200, "X-Consul-Results-Filtered-By-ACLs: true\r\n", "[]"))]),
            "the ACLs of the agent at AGENT hide all records from requests without a token: set CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE",
        ),
    ]
}

pub(super) fn other_bodies() -> Vec<Row> {
    let cut = &list([80, 81])[..100];
    let quoted = cut.replace('"', "\\\"");
    let not = |what: &str| format!("the answer from AGENT is not Consul's: \"{what}");
    vec![
        Row::fails(
            "answers in HTML",
            body("<html>\r\n<h1>Hello</h1>"),
            not("<html> <h1>Hello</h1>"),
        ),
        Row::fails("answers nothing", body(""), not("")),
        Row::fails("answers null", body("null"), not("null")),
        Row::fails("answers an object", body("{}"), not("{}")),
        Row::fails("answers a list of numbers", body("[1,2]"), not("[1,2]")),
        Row::fails(
            "answers another query",
            body(&list([80, 81]).replace("\"web\"", "\"db\"")),
            "the answer from AGENT is about another service: \"db\"",
        ),
        Row::fails("answers a list of lists", body(&"[".repeat(10_000)), not("[[[[")),
        Row::fails("ends the JSON early", body(cut), not(&quoted)),
        Row::fails("adds a second list", body(&list([80]).repeat(2)), not("[{")),
        Row::fails(
            "has no content",
            Act::always([send("HTTP/1.1 204 No Content\r\nX-Consul-Index: 2000000\r\n\r\n")]),
            not(""),
        ),
        Row::fails("is cut off without a length", raw("", cut, CLOSE), not(&quoted)),
    ]
}

pub(super) fn incomplete_bodies() -> Vec<Row> {
    let incomplete = "the answer of the agent at AGENT is incomplete";
    let too_long = "the answer of the agent at AGENT is longer than the limit of 32 MiB";
    let whole = list([80, 81]);
    let length = |length: usize| format!("Content-Length: {length}\r\n");
    let chunked = "Transfer-Encoding: chunked\r\n";
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let spaces = Bytes::from(vec![b' '; 1 << 16]);
    vec![
        Row::fails("breaks off", raw(&length(whole.len() + 1), &whole, CLOSE), incomplete),
        Row::fails("breaks off a chunk", raw(chunked, "40\r\n[{", CLOSE), incomplete),
        Row::fails("leaves out the last chunk", raw(chunked, "2\r\n[]\r\n", CLOSE), incomplete),
        Row::fails("has a chunk without a length", raw(chunked, "x\r\n[]\r\n", []), incomplete),
        Row::fails("never ends", raw(chunked, "", [Step::Repeat(chunk.into())]), too_long),
        Row::fails("is too long", raw(&length(TOO_LONG), "", [Step::Repeat(spaces)]), too_long),
    ]
}

/// What an answer alone can't tell: it is believed. Consul before 1.11 does not say that ACLs emptied a list.
pub(super) fn empty_lists() -> Vec<Row> {
    vec![
        Row { name: "answers []", act: body("[]"), shows: Shows::Instances(&[]), most: polling },
        Row {
            name: "answers [] without an index",
            act: refusal(200, "[]"),
            shows: Shows::Instances(&[]),
            most: polling,
        },
    ]
}
