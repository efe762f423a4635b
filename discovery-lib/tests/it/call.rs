//! Calls by service name to servers that answer, fail and disconnect in many ways.

mod bodies;
mod builder;
mod closed;
mod connections;
mod errors;
mod from_disk;
mod hedging;
#[cfg(feature = "http2")]
mod http2;
mod options;
mod outcomes;
mod requests;
mod server;
mod streams;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod uploads;

use std::{net::SocketAddr, time::Duration};

use discovery::{Client, Pool};
use http::{Method, Request};
use testkit::ports;
use tokio::time::{Instant, sleep};

/// The time limit of every wait.
const SOON: Duration = Duration::from_secs(60);

/// A client that uses one pool for every service name.
fn client(pool: &Pool) -> Client {
    let pool = pool.clone();
    Client::new(move |_| pool.clone())
}

fn request(method: Method) -> Request<&'static str> {
    Request::builder().method(method).uri("http://service2/").body("").unwrap()
}

/// An address without a listener.
fn unused() -> SocketAddr {
    ports::unused().unwrap()
}

fn in_flight(pool: &Pool) -> u32 {
    pool.explain().instances.iter().filter_map(|it| it.member).map(|member| member.in_flight).sum()
}

/// Waits until this holds.
#[track_caller]
fn eventually(what: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let until = Instant::now() + SOON;
        while !what() {
            assert!(Instant::now() < until, "did not become true: {caller}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}
