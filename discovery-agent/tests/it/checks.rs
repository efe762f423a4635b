//! What the contract cannot see of checks: that they end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use discovery_agent::Agent;
use serde_json::json;
use tokio::{net::TcpListener, time};

use crate::talk::{put, until};

/// Counts who connects.
async fn counting() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (addr, count)
}

#[tokio::test]
async fn no_check_outlives_its_agent() {
    let (addr, count) = counting().await;
    let agent = Agent::start().await.unwrap();
    let check = json!({ "TCP": addr.to_string(), "Interval": "1s" });
    let service = json!({ "Name": "web", "Check": check });
    put(agent.http_addr(), "/v1/agent/service/register", &service).await;
    until(|| count.load(Ordering::Relaxed) > 0).await;
    drop(agent);
    // One may have been on its way.
    time::sleep(Duration::from_millis(100)).await;
    let last = count.load(Ordering::Relaxed);
    time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(count.load(Ordering::Relaxed), last);
}

#[tokio::test]
async fn a_check_registered_again_as_it_is_goes_on() {
    let (addr, count) = counting().await;
    let agent = Agent::start().await.unwrap();
    let check = json!({ "TCP": addr.to_string(), "Interval": "1s" });
    let service = json!({ "Name": "web", "Check": check });
    for _ in 0..10 {
        put(agent.http_addr(), "/v1/agent/service/register", &service).await;
    }
    until(|| count.load(Ordering::Relaxed) > 0).await;
    let first = count.load(Ordering::Relaxed);
    assert_eq!(first, 1, "one task looks, not one for each registration");
}
