//! The time from a registration at the agent to its presence in a caller's pool, compared with a bare blocking query on the same agent: the
//! latency that watch and pool add. Alternating in one run; also on a real Consul if one is found (`PATH`, `CONSUL_BIN`).
//!
//!     cargo bench -p discovery-lib --bench propagation

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and panics when it can't continue"
)]

use std::{net::SocketAddr, time::Duration};

use discovery::{Discovery, Explained, Pool, Rank, Settings, Watch, agent::AgentSettings};
use discovery_agent::Agent;
use serde_json::json;
use testkit::{
    consul::{Binary, Consul},
    http::{Answer, Request},
    ratio::Ratio,
};
use tokio::{
    runtime,
    task::yield_now,
    time::{Instant, sleep},
};

const ROUNDS: usize = 100;
/// Longer than the token bucket of a watch needs to refill, so that no query is delayed.
const PAUSE: Duration = Duration::from_millis(250);
/// Long enough for a query to arrive before the change that it waits for.
const ARRIVES_WITHIN: Duration = Duration::from_millis(20);

/// The same instance again and again: registered in odd rounds, deregistered in even ones.
async fn change(agent: SocketAddr, service: &str, round: usize) {
    let request = if round % 2 == 1 {
        let registration = json!({"Name": service, "Address": "10.0.0.1", "Port": 80});
        Request::put("/v1/agent/service/register").body(registration.to_string())
    } else {
        Request::put(format!("/v1/agent/service/deregister/{service}"))
    };
    assert!(request.send(agent).await.unwrap().status.is_success());
}

async fn ask(agent: SocketAddr, after: &str) -> Answer {
    Request::get(format!("/v1/health/service/bare?stale{after}")).send(agent).await.unwrap()
}

/// The same pause before both, and a query at its end: a machine that was idle is slower. Returns the current index.
async fn before_change(agent: SocketAddr) -> String {
    sleep(PAUSE).await;
    ask(agent, "").await.header("x-consul-index").unwrap().to_owned()
}

async fn bare(agent: SocketAddr, round: usize) -> f64 {
    let index = before_change(agent).await;
    let waits = tokio::spawn(async move { ask(agent, &format!("&wait=20s&index={index}")).await });
    sleep(ARRIVES_WITHIN).await;
    let start = Instant::now();
    let (_, answered_at) = tokio::join!(change(agent, "bare", round), async {
        let instances = waits.await.unwrap().json().as_array().unwrap().len();
        assert_eq!(instances, round % 2);
        Instant::now()
    });
    (answered_at - start).as_secs_f64()
}

/// Waits for a change of the watch, and then reads the pool.
struct Pooled {
    watch: Watch,
    pool: Pool,
}

impl Pooled {
    fn is_in(&self) -> bool {
        let rank = |it: &Explained| it.member.map(|member| member.rank);
        self.pool.explain().instances.first().and_then(rank) == Some(Rank::Passing)
    }

    async fn measure(&mut self, agent: SocketAddr, round: usize) -> f64 {
        before_change(agent).await;
        sleep(ARRIVES_WITHIN).await;
        let start = Instant::now();
        let (_, published_at) = tokio::join!(change(agent, "watched", round), async {
            self.watch.changed().await;
            while self.is_in() != (round % 2 == 1) {
                yield_now().await;
            }
            Instant::now()
        });
        (published_at - start).as_secs_f64()
    }
}

async fn measure(name: &str, agent: SocketAddr) {
    let settings = Settings::new(AgentSettings::new(agent));
    let discovery = Discovery::new(settings).unwrap();
    let watch = discovery.watch("watched");
    let mut pooled = Pooled { watch, pool: discovery.pool("watched") };
    pooled.watch.changed().await;
    pooled.pool.ready().await.unwrap();
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        rounds.push(if round % 2 == 1 {
            let pooled = pooled.measure(agent, round).await;
            (pooled, bare(agent, round).await)
        } else {
            let bare = bare(agent, round).await;
            (pooled.measure(agent, round).await, bare)
        });
    }
    let ratio = Ratio::of(&rounds);
    println!("{name}: pool against bare query, seconds: {ratio}");
    println!(
        "{name}: watch and pool add {:+.3} ms (of medians)",
        (ratio.first - ratio.second) * 1e3
    );
}

async fn measure_all(threads: &str) {
    let agent = Agent::start().await.unwrap();
    measure(&format!("{threads}, embedded agent"), agent.http_addr()).await;
    if let Some(binary) = Binary::find() {
        let consul = Consul::of(&binary).start().await.unwrap();
        measure(&format!("{threads}, Consul {}", binary.version()), consul.http_addr()).await;
    }
}

/// A change passes from task to task. On one thread that is nearly free; on two it includes the wake-up of an idle thread.
fn main() {
    let current_thread = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    current_thread.block_on(measure_all("one thread"));
    let two_threads =
        runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    two_threads.block_on(measure_all("two threads"));
}
