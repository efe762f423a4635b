//! Which instance gets a request, and what the client gets when there is none.

use std::collections::BTreeSet;

use ambassador::Target;
use discovery::{Discovery, Query, Settings, agent::AgentSettings};
use discovery_agent::Agent;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

use super::{
    before, fixed,
    instance::{
        Answering::{AndClose, Name, With},
        Instance,
    },
    message::{Message, Unframed},
    send, start,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

/// The status and body of each response to these requests, sent at once on one connection.
async fn statuses(at: std::net::SocketAddr, requests: &str) -> Vec<String> {
    let bytes = send(at, &[requests.as_bytes()]).await.expect("no reset");
    let (mut rest, mut all) = (&bytes[..], Vec::new());
    while let Some((message, after)) = Message::first(rest, Unframed::ToTheEnd, false) {
        all.push(format!("{} {}", &message.start[9..12], message.body));
        rest = after;
    }
    all
}

/// An address where nothing listens.
async fn refusing() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn requests_of_one_connection_are_spread_over_the_instances() {
    let (one, two) = (Instance::start(Name("one")).await, Instance::start(Name("two")).await);
    let (_ambassador, at) = before(&[one.at, two.at]);
    let got: BTreeSet<String> = statuses(at, &GET.repeat(60)).await.into_iter().collect();
    assert_eq!(got, BTreeSet::from(["200 one web".into(), "200 two web".into()]));
    assert_eq!(one.seen().len() + two.seen().len(), 60);
}

#[tokio::test]
async fn a_connection_to_an_instance_is_used_again() {
    let instance = Instance::start(Name("one")).await;
    let (_ambassador, at) = before(&[instance.at]);
    for _ in 0..5 {
        assert_eq!(statuses(at, &POST.repeat(5)).await, ["200 one web"; 5]);
    }
    assert_eq!(instance.opened(), 1);
}

#[tokio::test]
async fn an_instance_that_refuses_costs_no_request() {
    let instance = Instance::start(Name("one")).await;
    let (_ambassador, at) = before(&[refusing().await, instance.at]);
    assert_eq!(statuses(at, &POST.repeat(20)).await, ["200 one web"; 20]);
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_costs_no_request() {
    let instance =
        Instance::start(AndClose("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")).await;
    let (_ambassador, at) = before(&[instance.at]);
    for _ in 0..10 {
        assert_eq!(statuses(at, POST).await, ["200 ok"]);
        instance.closed().await;
    }
    assert_eq!(statuses(at, &GET.repeat(20)).await, ["200 ok"; 20]);
    assert_eq!(instance.opened(), instance.seen().len());
}

#[tokio::test]
async fn a_request_without_an_answer_is_sent_again_if_its_method_allows() {
    let (bad, good) = (Instance::start(AndClose("")).await, Instance::start(Name("good")).await);
    let (_ambassador, at) = before(&[bad.at, good.at]);
    let put = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    while bad.seen().is_empty() {
        assert_eq!(statuses(at, put).await, ["200 good web"]);
    }
    assert!(good.seen().iter().all(|message| message.is_complete && message.body == "hi"));
    let (bad, good) = (Instance::start(AndClose("")).await, Instance::start(Name("good")).await);
    let (_ambassador, at) = before(&[bad.at, good.at]);
    let mut last = Vec::new();
    while bad.seen().is_empty() {
        last = statuses(at, POST).await;
    }
    let text = format!(
        "502 no answer from web: {} closed the connection before its response; POST is not sent twice\n",
        bad.at
    );
    assert_eq!(last, [text]);
}

#[tokio::test]
async fn an_instance_that_is_another_service_or_leaves_costs_no_request() {
    for answer in [
        "HTTP/1.1 421 Misdirected Request\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 503 Service Unavailable\r\nDiscovery-Leaving: true\r\nContent-Length: 1\r\n\r\nx",
    ] {
        let (bad, good) =
            (Instance::start(With(answer)).await, Instance::start(Name("good")).await);
        let (_ambassador, at) = before(&[bad.at, good.at]);
        while bad.seen().is_empty() {
            assert_eq!(statuses(at, POST).await, ["200 good web"], "{answer}");
        }
    }
}

#[tokio::test]
async fn the_answer_of_the_last_instance_is_that_of_the_call() {
    let busy = With("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy");
    let (one, two) = (Instance::start(busy).await, Instance::start(busy).await);
    let (_ambassador, at) = before(&[one.at, two.at]);
    assert_eq!(statuses(at, GET).await, ["503 busy"]);
    assert_eq!((one.seen().len(), two.seen().len()), (1, 1));
    assert_eq!(statuses(at, POST).await, ["503 busy"]);
    assert_eq!(one.seen().len() + two.seen().len(), 3);
}

#[tokio::test]
async fn without_an_instance_the_answer_is_one_line_at_once() {
    let (_ambassador, at) = before(&[]);
    assert_eq!(
        statuses(at, &GET.repeat(2)).await,
        ["503 no call to web: it has no instances\n"; 2]
    );
    let refusing = refusing().await;
    let (_ambassador, at) = before(&[refusing]);
    let text = format!("503 no answer from web: {refusing} refused; there is no other instance\n");
    assert_eq!(statuses(at, POST).await, [text]);
}

#[tokio::test]
async fn the_host_names_the_service() {
    let instance = Instance::start(Name("one")).await;
    let allow = |options: &mut ambassador::RouteOptions| {
        options.allow = Some(vec!["rng".into(), "web".into()])
    };
    let (_ambassador, at) = start(fixed(&[instance.at]), Target::HttpByHost, allow);
    for (host, expected) in [
        ("rng", "200 one rng"),
        ("RNG.service.consul:80", "200 one rng"),
        ("web.service.dc1.consul", "200 one web"),
        ("hasher", "404 the service hasher is not allowed\n"),
        ("127.0.0.1", "404 the Host of the request names no service\n"),
        ("", "404 the Host of the request names no service\n"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(statuses(at, &request).await, [expected], "{host}");
    }
    assert_eq!(
        statuses(at, "GET / HTTP/1.0\r\n\r\n").await,
        ["404 the Host of the request names no service\n"]
    );
}

#[tokio::test]
async fn a_host_that_is_no_service_in_consul_is_not_found() {
    let agent = Agent::start().await.unwrap();
    let instance = Instance::start(Name("one")).await;
    let body = format!(r#"{{"Name":"rng","Address":"127.0.0.1","Port":{}}}"#, instance.at.port());
    let agent_call = async |method: &str, path: &str, body: &str| {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let got = send(agent.http_addr(), &[request.as_bytes()]).await.unwrap();
        assert!(got.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&got));
    };
    agent_call("PUT", "/v1/agent/service/register", &body).await;
    let discovery = Discovery::new(Settings::new(AgentSettings::new(agent.http_addr()))).unwrap();
    let pool = discovery.pool(Query::new("rng"));
    let (_ambassador, at) = start(discovery, Target::HttpByHost, |_| {});
    let get = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(statuses(at, &get("nobody")).await, ["404 the service nobody is not in Consul\n"]);
    assert_eq!(statuses(at, &get("rng")).await, ["200 one rng"]);
    agent_call("PUT", "/v1/agent/service/maintenance/rng?enable=true", "").await;
    while pool.pick().is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(
        statuses(at, &get("rng")).await,
        ["503 no call to rng: none of its instances is passing\n"]
    );
    agent.stop().await;
}

#[tokio::test]
async fn a_client_that_is_not_trusted_can_not_name_earlier_hops() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    for (trusts_callers, expected) in [(true, "6.6.6.6, 127.0.0.1"), (false, "127.0.0.1")] {
        let instance = Instance::start(Name("one")).await;
        let target = Target::Http(Query::new("web"));
        let (_ambassador, at) =
            start(fixed(&[instance.at]), target, |options| options.trusts_callers = trusts_callers);
        assert_eq!(statuses(at, request).await, ["200 one web"]);
        assert_eq!(instance.seen()[0].header("x-forwarded-for"), Some(expected));
    }
}

#[tokio::test]
async fn long_bodies_arrive_whole_in_both_directions() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_ambassador, at) = before(&[listener.local_addr().unwrap()]);
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n * 31 % 251) as u8).collect();
    // The instance echoes the body while it arrives.
    let echo = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n").await.unwrap();
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut (&mut from).take(3_000_000), &mut to).await.unwrap();
        assert_eq!(from.read(&mut [0]).await.unwrap_or(0), 0);
    };
    let client = async {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let (mut from, mut to) = stream.split();
        let sending = async {
            to.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n")
                .await
                .unwrap();
            to.write_all(&body).await.unwrap();
        };
        let receiving = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(from.read_u8().await.unwrap());
            }
            let mut got = vec![0; body.len()];
            from.read_exact(&mut got).await.unwrap();
            assert!(got == body);
        };
        tokio::join!(sending, receiving);
        drop(stream);
    };
    let ((), ()) = tokio::join!(
        async {
            tokio::select! { () = echo => (), () = std::future::pending() => () }
        },
        client
    );
}

#[tokio::test]
async fn an_upgraded_connection_is_relayed_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_ambassador, at) = before(&[listener.local_addr().unwrap()]);
    let instance = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\nhello ";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.unwrap();
        to.shutdown().await.unwrap();
        String::from_utf8(head).unwrap()
    });
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nearly ";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"early ") {
        assert_ne!(stream.read_buf(&mut got).await.unwrap(), 0);
    }
    stream.write_all(b"late").await.unwrap();
    stream.shutdown().await.unwrap();
    stream.read_to_end(&mut got).await.unwrap();
    let got = String::from_utf8(got).unwrap();
    let (head, body) = got.split_once("\r\n\r\n").unwrap();
    assert_eq!(head, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat");
    assert_eq!(body, "hello early late");
    let head = instance.await.unwrap();
    assert!(head.contains("Connection: upgrade\r\nUpgrade: chat\r\n"), "{head}");
}

#[tokio::test]
async fn a_drain_closes_idle_connections_and_lets_requests_finish() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ambassador, at) = before(&[listener.local_addr().unwrap()]);
    let mut idle = TcpStream::connect(at).await.unwrap();
    let mut busy = TcpStream::connect(at).await.unwrap();
    busy.write_all(GET.as_bytes()).await.unwrap();
    let (mut instance, _) = listener.accept().await.unwrap();
    let drain = tokio::spawn(ambassador.drain(std::time::Duration::from_secs(60)));
    let mut nothing = String::new();
    idle.read_to_string(&mut nothing).await.unwrap();
    assert_eq!(nothing, "");
    instance.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    let mut got = String::new();
    busy.read_to_string(&mut got).await.unwrap();
    assert_eq!(got, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    drop((idle, busy));
    drain.await.unwrap();
}

#[tokio::test]
async fn the_last_answer_arrives_while_the_client_sends_another_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ambassador, at) = before(&[listener.local_addr().unwrap()]);
    let mut client = TcpStream::connect(at).await.unwrap();
    client.write_all(GET.as_bytes()).await.unwrap();
    let (mut instance, _) = listener.accept().await.unwrap();
    let drain = tokio::spawn(ambassador.drain(std::time::Duration::from_secs(60)));
    while TcpStream::connect(at).await.is_ok() {
        tokio::task::yield_now().await;
    }
    // The proxy does not read it: to close the connection with it would reset it.
    client.write_all(GET.as_bytes()).await.unwrap();
    instance.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    let mut got = String::new();
    client.read_to_string(&mut got).await.expect("it is closed, not reset");
    assert_eq!(got, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    drop(client);
    drain.await.unwrap();
}

#[tokio::test]
async fn interim_responses_arrive_whole_at_a_client_that_reads_late() {
    const REQUESTS: usize = 60;
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(30_000));
    let answer = hint.repeat(8) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let instance = Instance::start(With(String::leak(answer))).await;
    let (_ambassador, at) = before(&[instance.at]);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(at).await.unwrap();
    client.write_all(GET.repeat(REQUESTS).as_bytes()).await.unwrap();
    // Until all buffers on the way are full: that is most probably within an interim response.
    let mut before = 0;
    while before == 0 || before < instance.seen().len() {
        before = instance.seen().len();
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(before < REQUESTS, "the buffers take all responses");
    client.shutdown().await.unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).await.unwrap();
    let (mut rest, mut statuses) = (&got[..], Vec::new());
    while let Some((message, after)) = Message::first(rest, Unframed::ToTheEnd, false) {
        statuses.push(message.start[9..12].to_owned());
        rest = after;
    }
    let expected = [&["103"; 8][..], &["200"]].concat().repeat(REQUESTS);
    assert_eq!((statuses == expected, rest.len()), (true, 0), "{statuses:?}");
}
