//! worker: mines, and survives the absence of the others.

use bytes::Bytes;
use discovery::serve::{Request, Server, text};
use http::{Method, Response, StatusCode};

use crate::{
    redis::Redis,
    world::{Program, World, eventually},
};

/// Returns 32 bytes, other ones each time.
fn rng() -> Server {
    Server::new().fallback(Method::GET, async |request: Request| {
        assert_eq!(request.head.uri.path(), "/32");
        Response::new(Bytes::from((0..32).map(|_| fastrand::u8(..)).collect::<Vec<_>>()))
    })
}

/// Returns something like a hash, from the first byte of the body: only odd ones are a coin.
fn hasher() -> Server {
    Server::new().on(Method::POST, "/", async |request: Request| {
        let first = request.body[0] % 2;
        let rest: String = request.body[1..].iter().map(|byte| format!("{byte:02x}")).collect();
        text(StatusCode::OK, format!("{}{rest}", 1 - first))
    })
}

/// The number of hashes that a worker says it has made.
async fn hashes(worker: &Program) -> u64 {
    let status = worker.get("/").await;
    let line = status.text();
    let counts = line.split_once(": ").unwrap().1;
    counts.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_begins_with_0_is_kept_and_all_is_counted() {
    let (mut world, redis) = (World::new().await, Redis::start().await);
    world.serve("rng", rng()).await;
    world.serve("hasher", hasher()).await;
    let worker = world.start("worker", &[("REDIS", redis.at.to_string())]).await;
    eventually(async || (redis.data().coins.len() >= 3).then_some(())).await;
    let seen = hashes(&worker).await;
    let (code, log) = worker.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let data = redis.data();
    assert!(data.hashes >= seen, "{} of {seen} hashes are saved", data.hashes);
    assert!(data.hashes > data.coins.len() as u64);
    for (hash, bytes) in data.coins {
        assert_eq!((hash[0], bytes.len(), bytes[0] % 2), (b'0', 32, 1));
    }
}

#[tokio::test]
async fn without_redis_it_goes_on_and_saves_later() {
    let mut world = World::new().await;
    let at = testkit::ports::unused().unwrap();
    world.serve("rng", rng()).await;
    world.serve("hasher", hasher()).await;
    let worker = world.start("worker", &[("REDIS", at.to_string())]).await;
    let is_failing = async || worker.get("/").await.text().contains("redis does not answer");
    eventually(async || is_failing().await.then_some(())).await;
    let before = hashes(&worker).await;

    let first = Redis::start_at(at).await;
    eventually(async || (first.data().hashes >= before).then_some(())).await;
    drop(first); // with all its data

    eventually(async || is_failing().await.then_some(())).await;
    let second = Redis::start_at(at).await;
    eventually(async || (!second.data().coins.is_empty()).then_some(())).await;

    let (code, log) = worker.stop().await;
    assert_eq!(code, Some(0), "{log}");
    let complaints = log
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("service=\"redis\""))
        .count();
    assert_eq!(complaints, 2, "{log}"); // once per absence
}

#[tokio::test]
async fn without_rng_it_waits_for_it() {
    let (mut world, redis) = (World::new().await, Redis::start().await);
    let worker = world.start("worker", &[("REDIS", redis.at.to_string())]).await;
    assert_eq!(hashes(&worker).await, 0);
    world.serve("rng", rng()).await;
    world.serve("hasher", hasher()).await;
    eventually(async || (redis.data().hashes > 0).then_some(())).await;
    let (code, log) = worker.stop().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("no call to rng: it has no instances"), "{log}");
}
