//! The acts, as a plain socket sees them.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::*;

/// Generous for a slow machine.
const SOON: Duration = Duration::from_secs(60);
const SERVED: &[u8] = b"HTTP/1.1 200 -\r\nContent-Length: 2\r\n\r\n[]";

async fn connect(agent: &Scripted) -> TcpStream {
    TcpStream::connect(agent.addr()).await.unwrap()
}

async fn ask(stream: &mut TcpStream, target: &str) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: agent\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// The whole answer, until the connection ends.
async fn rest(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    timeout(SOON, stream.read_to_end(&mut read)).await.unwrap()?;
    Ok(read)
}

async fn expect(stream: &mut TcpStream, expected: &[u8]) {
    let mut read = vec![0; expected.len()];
    timeout(SOON, stream.read_exact(&mut read)).await.unwrap().unwrap();
    assert_eq!(read, expected);
}

fn send(bytes: &'static [u8]) -> Step {
    Step::Send(Bytes::from_static(bytes))
}

#[tokio::test]
async fn a_query_with_the_index_waits_until_the_next_act_or_the_end_of_its_wait() {
    let agent = Scripted::start(Act::Serve(7, response(200, "", "[]"))).await.unwrap();
    let mut stream = connect(&agent).await;
    for target in ["/", "/?index=6&wait=600000ms", "/?index=7&wait=1ms", "/?index=8&wait=1ms"] {
        ask(&mut stream, target).await;
        expect(&mut stream, SERVED).await;
    }
    ask(&mut stream, "/?index=7&wait=600000ms").await;
    while agent.requests() < 5 {
        tokio::task::yield_now().await;
    }
    agent.set(Act::Serve(8, response(500, "", "")));
    expect(&mut stream, b"HTTP/1.1 500 -\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!((agent.accepted(), agent.refused()), (1, 0));
    assert_eq!((agent.requests(), agent.with_index()), (5, 4));
}

#[tokio::test]
async fn steps_are_taken_in_order() {
    let pause = Duration::from_millis(1);
    for (steps, received) in [
        (vec![send(b"ab"), send(b"c"), Step::End(End::Close)], Some("abc")),
        (vec![Step::Drip(Bytes::from_static(b"abc"), pause), Step::HalfClose], Some("abc")),
        (vec![Step::End(End::Reset)], None),
    ] {
        let agent = Scripted::start(Act::always(steps)).await.unwrap();
        let mut stream = connect(&agent).await;
        ask(&mut stream, "/").await;
        let answer = rest(&mut stream).await.ok();
        assert_eq!(answer.as_deref(), received.map(str::as_bytes));
    }
}

#[tokio::test]
async fn the_steps_know_how_many_requests_came_before() {
    let act = || Act::each(|asked| vec![Step::Send(asked.nth.to_string().into())]);
    let agent = Scripted::start(act()).await.unwrap();
    let mut stream = connect(&agent).await;
    for numbers in [["0", "1"], ["0", "1"]] {
        agent.set(act());
        for number in numbers {
            ask(&mut stream, "/").await;
            expect(&mut stream, number.as_bytes()).await;
        }
    }
}

#[tokio::test]
async fn an_end_ends_idle_waiting_and_new_connections() {
    for (end, is_reset) in [(End::Close, false), (End::Reset, true)] {
        let agent = Scripted::start(Act::Serve(7, response(200, "", "[]"))).await.unwrap();
        let (mut idle, mut waiting) = (connect(&agent).await, connect(&agent).await);
        ask(&mut idle, "/").await;
        expect(&mut idle, SERVED).await;
        ask(&mut waiting, "/?index=7&wait=600000ms").await;
        while agent.requests() < 2 {
            tokio::task::yield_now().await;
        }
        agent.set(Act::End(end));
        for stream in [&mut idle, &mut waiting, &mut connect(&agent).await] {
            assert_eq!(rest(stream).await.is_err(), is_reset, "{end:?}");
        }
    }
}

#[tokio::test]
async fn connections_above_the_limit_are_reset() {
    let act = Act::Serve(7, response(200, "", "[]"));
    let agent = Scripted::limited(act, 1).await.unwrap();
    let mut first = connect(&agent).await;
    ask(&mut first, "/").await;
    expect(&mut first, SERVED).await;
    rest(&mut connect(&agent).await).await.unwrap_err();
    assert_eq!((agent.accepted(), agent.refused()), (2, 1));
}
