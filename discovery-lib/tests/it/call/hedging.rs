//! A second try beside the first one.

use std::time::Duration;

use discovery::{
    CallOptions, Client, Pool, PoolOptions, RequestBody, RoundRobin, TryError, tries::Hedge,
};
use http::{Method, Request, StatusCode};

use super::{
    SOON, client, in_flight, request,
    server::{HANG, OK, Reply, Server},
};

/// The number of calls: enough for each of two instances to be picked first by some.
const CALLS: usize = 20;

const DELAY: Duration = Duration::from_millis(20);

fn hedging(pool: &Pool, hedge: Hedge, try_timeout: Duration) -> Client {
    let options = CallOptions::default().call_timeout(SOON).try_timeout(try_timeout).hedge(hedge);
    client(pool).with_options(options).unwrap()
}

/// A pool that picks the two in turn.
fn in_turn(one: &Server, other: &Server) -> Pool {
    let options = PoolOptions::new().policy(RoundRobin);
    Pool::fixed_with("service2", [one.address, other.address], options).unwrap()
}

#[tokio::test]
async fn a_get_to_an_instance_that_stalls_is_answered_by_another_one() {
    let (stalled, good) = (Server::always(HANG).await, Server::always(OK).await);
    for method in [Method::GET, Method::PUT] {
        for _ in 0..CALLS {
            // A new pool per call, without statistics: so about half of the calls pick the stalled one first.
            let pool = Pool::fixed("service2", [stalled.address, good.address]);
            // The try itself would wait longer than this test.
            let client = hedging(&pool, Hedge::After(DELAY), SOON);
            let answer = client.request(request(method.clone())).await.unwrap();
            assert_eq!(answer.into_body().text(64).await.unwrap(), "hello");
            assert_eq!(in_flight(&pool), 0);
        }
    }
    assert_eq!(good.requests().len(), 2 * CALLS);
    assert!(!stalled.requests().is_empty());
    super::eventually(|| stalled.open() == 0).await;
}

#[tokio::test]
async fn a_post_and_a_streamed_body_are_not_hedged() {
    let (stalled, good) = (Server::always(HANG).await, Server::always(OK).await);
    let (mut calls, mut silent) = (0, 0);
    while silent < 6 {
        let pool = Pool::fixed("service2", [stalled.address, good.address]);
        let try_timeout = 5 * DELAY;
        let client = hedging(&pool, Hedge::After(DELAY), try_timeout);
        calls += 1;
        let answer = if calls % 2 == 0 {
            client.request(request(Method::POST)).await
        } else {
            // Longer than what is kept for another try.
            let body = RequestBody::new("once".repeat(50_000));
            client.request(Request::put("http://service2/").body(body).unwrap()).await
        };
        if let Err(error) = answer {
            silent += 1;
            assert_eq!(error.tried().len(), 1);
            assert_eq!(error.tried()[0].why, TryError::Silent(try_timeout));
        }
    }
    super::eventually(|| stalled.requests().len() + good.requests().len() == calls).await;
}

#[tokio::test]
async fn a_cancelled_try_ejects_no_instance() {
    let (stalled, good) = (Server::always(HANG).await, Server::always(OK).await);
    let pool = in_turn(&stalled, &good);
    let client = hedging(&pool, Hedge::After(DELAY), SOON);
    for _ in 0..CALLS {
        client.get("http://service2/").await.unwrap();
    }
    assert!(stalled.requests().len() >= CALLS / 2);
    let members = pool.explain().instances;
    assert!(members.iter().all(|it| it.member.unwrap().ejection.is_none()));
}

#[tokio::test]
async fn the_better_response_of_two_is_returned() {
    const BUSY: Reply = Reply::Send("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    const SLOW: Reply = Reply::SendSlowly(
        "",
        Duration::from_millis(100),
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    );
    let (slow, busy) = (Server::always(SLOW).await, Server::always(BUSY).await);
    for _ in 0..CALLS {
        let pool = Pool::fixed("service2", [slow.address, busy.address]);
        let client = hedging(&pool, Hedge::After(DELAY), SOON);
        let answer = client.get("http://service2/").await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert!(!busy.requests().is_empty());
}

#[tokio::test]
async fn the_delay_is_the_95th_percentile_of_earlier_requests() {
    let good = Server::always(OK).await;
    let other = Server::start(|nth| if nth < 10 { OK } else { HANG }).await;
    let client = hedging(&in_turn(&good, &other), Hedge::P95, SOON);
    // Without a known percentile the first call to the stalled instance would wait longer than this test.
    for _ in 0..24 {
        let answer = client.get("http://service2/").await.unwrap();
        assert_eq!(answer.into_body().text(64).await.unwrap(), "hello");
    }
    assert!(other.requests().len() > 10);
}

#[tokio::test]
async fn without_retry_budget_no_request_is_hedged() {
    let (stalled, good) = (Server::always(HANG).await, Server::always(OK).await);
    let (mut calls, mut silent) = (0, 0);
    while silent < 5 {
        let pool = Pool::fixed("service2", [stalled.address, good.address]);
        let options = CallOptions::default().try_timeout(5 * DELAY).hedge(Hedge::After(DELAY));
        let options = options.retry_percent(0).retries_per_second(0);
        calls += 1;
        let client = client(&pool).with_options(options).unwrap();
        silent += usize::from(client.get("http://service2/").await.is_err());
    }
    super::eventually(|| stalled.requests().len() + good.requests().len() == calls).await;
}
