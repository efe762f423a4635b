//! Connections that end, stay silent or carry something else.

use testkit::scripted::End;
use tokio::time::sleep;

use super::*;

const HEAD: &str = "HTTP/1.1 200 OK\r\nX-Consul-Index: 2000000\r\nContent-Length: 9\r\n\r\n";

fn then(bytes: &'static str, step: Step) -> Act {
    Act::always([send(bytes), step])
}

pub(super) fn broken() -> Vec<Row> {
    let closed = "the agent at AGENT closed the connection";
    let incomplete = "the answer of the agent at AGENT is incomplete";
    let not_http = "the answer from AGENT is not HTTP (use https:// if that port is for TLS)";
    vec![
        Row::fails("closes every connection", Act::End(End::Close), closed),
        // The reset may come before the connection is open.
        Row::fails("resets every connection", Act::End(End::Reset), ""),
        Row::fails("closes after the request", Act::always([Step::End(End::Close)]), closed),
        Row::fails("resets after the request", Act::always([Step::End(End::Reset)]), closed),
        Row::fails("half-closes", Act::always([Step::HalfClose, Step::Silence]), closed),
        Row::fails("closes within the head", then("HTTP/1.1 200", Step::End(End::Close)), closed),
        Row::fails("closes after the head", then(HEAD, Step::End(End::Close)), incomplete),
        Row::fails("resets after the head", then(HEAD, Step::End(End::Reset)), incomplete),
        Row::fails("half-closes after the head", then(HEAD, Step::HalfClose), incomplete),
        Row::fails(
            "has another protocol",
            then("SSH-2.0-OpenSSH_9.6\r\n", Step::Silence),
            not_http,
        ),
        Row::fails("speaks HTTP/2", then("\0\0\0\x04\0\0\0\0\0", Step::Silence), not_http),
        Row::fails(
            "has an endless head",
            Act::always([send("HTTP/1.1 200 OK\r\n"), Step::Repeat("A: b\r\n".repeat(99).into())]),
            not_http,
        ),
        Row::fails(
            "has two lengths",
            then(
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
                Step::Silence,
            ),
            not_http,
        ),
        Row::fails(
            "has a negative length",
            then("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n[]", Step::Silence),
            not_http,
        ),
    ]
}

pub(super) fn silent() -> Vec<Row> {
    let fails = |name, act| Row::fails(name, act, "no answer from the agent at AGENT within ");
    let much = "HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\n";
    let drip = Step::Drip(good(2_000_000, [81]), Duration::from_secs(1));
    let continued = Step::Send("HTTP/1.1 100 -\r\n\r\n".repeat(100).into());
    vec![
        fails("is silent", Act::always([Step::Silence])),
        fails("is silent within the head", then("HTTP/1.1 200", Step::Silence)),
        fails("is silent after the head", then(HEAD, Step::Silence)),
        fails("is silent within the body", Act::always([send(HEAD), send("[{"), Step::Silence])),
        fails("announces more than the limit", then(much, Step::Silence)),
        fails("only continues", Act::always([continued, Step::Silence])),
        fails("sends a byte per second", Act::always([drip])),
    ]
}

/// Forms of an answer that HTTP allows, and that Consul's own server does not choose.
pub(super) fn unusual() -> Vec<Row> {
    let shows = || Shows::Instances(&["10.0.0.1:82 passing"]);
    let row = |name, act| Row { name, act, shows: shows(), most: polling };
    let body = list([82]);
    let old = format!("HTTP/1.0 200 OK\r\nx-consul-INDEX: 7\r\n\r\n{body}");
    let chunks: String = body.chars().map(|one| format!("1\r\n{one}\r\n")).collect();
    let head = "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nX-Consul-Index: 7\r\n\r\n";
    let chunked = format!("{head}{chunks}0\r\nX-Consul-Index: 9\r\n\r\n");
    vec![
        row("speaks HTTP/1.0", Act::always([send(old), Step::End(End::Close)])),
        row("sends chunks of one byte", Act::always([send(chunked)])),
    ]
}

/// What nobody asked for is not the answer to the next request.
pub(super) fn answered_twice() -> Vec<Row> {
    let twice = [good(2_000_000, [82]), good(3_000_000, [99])].concat();
    vec![Row {
        name: "answers twice",
        act: Act::always([send(twice)]),
        shows: Shows::Instances(&["10.0.0.1:82 passing"]),
        most: polling,
    }]
}

/// Consul resets the connections of one address above 200, and counts those of abandoned queries until their wait ends.
#[tokio::test]
async fn many_watches_and_other_calls_stay_below_the_connections_of_the_agent() {
    const WATCHES: usize = 250;
    const CALLS: usize = 100;
    let agent = Scripted::limited(Act::Serve(7, good(7, [])), 200).await.unwrap();
    let discovery = discovery(&agent);
    let mut watches: Vec<_> =
        (0..WATCHES).map(|number| discovery.watch(format!("web{number}"))).collect();
    for watch in &mut watches {
        until_instances(watch, &[]).await;
    }
    sleep(WINDOW).await;
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let client = discovery.agent().clone();
        calls.spawn(async move { client.health(&"web".into(), None).await.map(drop) });
    }
    for call in calls.join_all().await {
        call.unwrap();
    }
    assert_eq!(agent.refused(), 0);
    assert!(watches.iter().all(|watch| watch.current().failure.is_none()));
}
