//! Calls by service name against servers that answer, fail and leave in every way there is.

mod bodies;
mod closed;
mod connections;
mod errors;
mod options;
mod outcomes;
mod requests;
mod server;
mod streams;
mod tcp;
mod uploads;

use std::{net::SocketAddr, time::Duration};

use discovery::{Client, Pool};
use http::{Method, Request};
use testkit::ports;
use tokio::time::{Instant, sleep};

/// No test waits longer for what has to happen.
const SOON: Duration = Duration::from_secs(60);

/// A client of one pool, whatever service is asked for.
fn client(pool: &Pool) -> Client {
    let pool = pool.clone();
    Client::new(move |_| pool.clone())
}

fn request(method: Method) -> Request<&'static str> {
    Request::builder().method(method).uri("http://service2/").body("").unwrap()
}

/// An address where nobody listens.
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
            assert!(Instant::now() < until, "did not come true: {caller}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}
