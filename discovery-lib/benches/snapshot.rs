//! What it costs to take in a changed answer of Consul about many instances: reading its body until the change is in the pool, in CPU time of the
//! thread that does all of it. Compared with parsing the same body into the wire types. Both include the same HTTP client, whose part is measured
//! separately and subtracted. Alternating in one run; ratios, not times.
//!
//!     cargo bench -p discovery-lib --bench snapshot

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints, and panics when it can't continue"
)]

use std::{
    future::{pending, poll_fn},
    pin::Pin,
    sync::mpsc,
    thread,
    time::Duration,
};

use discovery::{
    Changes, Discovery, Settings, Watched,
    agent::{AgentClient, AgentSettings},
};
use futures_core::Stream as _;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use testkit::{
    ratio::Ratio,
    scripted::{Act, Scripted, response},
};
use tokio::{runtime, time::sleep};

const INSTANCES: usize = 1500;
const PER_NODE: usize = 30;
const ROUNDS: usize = 11;
/// Calls of one kind in a row, twice: a call of another kind leaves the allocator in another state.
const IN_A_ROW: usize = 3;
/// Longer than the token bucket of a watch needs to refill, so that no query is delayed.
const PAUSE: Duration = Duration::from_millis(110);
/// The aim for a single change is a ratio of 0.3.
const CHANGES: [(&str, Change); 3] = [
    ("one changed", Change::One),
    ("one left or returned", Change::Presence),
    ("all changed", Change::All),
];
const WITHIN: Duration = Duration::from_secs(10);

/// What changes from one answer to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// The weight of one instance.
    One,
    /// An instance leaves, or returns.
    Presence,
    /// The weights of all.
    All,
}

/// The answers before and after the change, in the form of Consul 1.8.7.
fn answers(change: Change) -> [String; 2] {
    [false, true].map(|is_after| {
        let is_changed = |place| match change {
            Change::One | Change::Presence => is_after && place == INSTANCES / 2,
            Change::All => is_after,
        };
        let is_there = |place: &usize| !(is_changed(*place) && change == Change::Presence);
        let entry = |place| entry(place, if is_changed(place) { 2 } else { 1 });
        Value::from_iter((0..INSTANCES).filter(is_there).map(entry)).to_string()
    })
}

fn entry(place: usize, weight: usize) -> Value {
    let (host, port) = (format!("10.0.0.{}", place / PER_NODE), 8000 + place);
    let (node, id) = (format!("host-{}", place / PER_NODE), format!("web-{host}-{port}"));
    let own = json!({"Address": host, "Port": port});
    let check = |id: String, name: &str, output: &str, service: &str| {
        json!({"Node": node, "CheckID": id, "Name": name, "Status": "passing", "Notes": "", "Output": output,
            "ServiceID": service, "ServiceName": if service.is_empty() { "" } else { "web" },
            "ServiceTags": if service.is_empty() { json!([]) } else { json!(["blue", "v1"]) }, "Type": "",
            "Definition": {}, "CreateIndex": 10, "ModifyIndex": 10})
    };
    json!({
        "Node": {"ID": format!("b1d3697c-85d4-a7dc-248c-{:012}", place / PER_NODE), "Node": node, "Address": host,
            "Datacenter": "dc1", "TaggedAddresses": {"lan": host, "lan_ipv4": host, "wan": host, "wan_ipv4": host},
            "Meta": {"consul-network-segment": ""}, "CreateIndex": 10, "ModifyIndex": 12},
        "Service": {"ID": id, "Service": "web", "Tags": ["blue", "v1"], "Address": host,
            "TaggedAddresses": {"lan_ipv4": own, "wan_ipv4": own},
            "Meta": {"incarnation": format!("{place:032x}"), "version": "1.2.3"}, "Port": port,
            "Weights": {"Passing": weight, "Warning": 1}, "EnableTagOverride": false,
            "Proxy": {"MeshGateway": {}, "Expose": {}}, "Connect": {}, "CreateIndex": 13, "ModifyIndex": 13},
        "Checks": [
            check("serfHealth".to_owned(), "Serf Health Status", "Agent alive and reachable", ""),
            check(format!("service:{id}"), "Service 'web' check", "ready", &id),
        ],
    })
}

/// An agent on a thread of its own, so that its CPU time does not count. It ends with the program.
fn agent() -> Scripted {
    let (started_tx, started_rx) = mpsc::channel();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            started_tx.send(Scripted::start(serve(1, "[]")).await.unwrap()).unwrap();
            pending::<()>().await;
        });
    });
    started_rx.recv().unwrap()
}

fn serve(index: u64, body: &str) -> Act {
    Act::Serve(index, response(200, &format!("X-Consul-Index: {index}\r\n"), body))
}

/// The CPU time that this thread has used.
fn used() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 * 1e-9
}

/// After a pause, since a machine that was idle is slower.
async fn cost<T>(work: impl Future<Output = T>) -> f64 {
    sleep(PAUSE).await;
    let before = used();
    drop(work.await);
    used() - before
}

/// The changes of a pool, its agent, and another client of that.
struct Caller {
    agent: Scripted,
    index: u64,
    client: AgentClient,
    changes: Changes,
}

impl Caller {
    fn new() -> Self {
        let agent = agent();
        let settings = AgentSettings::new(agent.addr());
        let client = AgentClient::new(settings.clone()).unwrap();
        let pool = Discovery::new(Settings::new(settings)).unwrap().pool("web");
        Self { agent, index: 1, client, changes: pool.changes() }
    }

    /// The cost of an answer with this body, until it is in the pool.
    async fn taking_in(&mut self, body: &str) -> f64 {
        self.index += 1;
        let (index, act) = (self.index, serve(self.index, body));

        cost(async {
            self.agent.set(act);
            let is_in = |watched: Watched| watched.snapshot.is_some_and(|it| it.index == index);
            while !is_in(poll_fn(|cx| Pin::new(&mut self.changes).poll_next(cx)).await.unwrap()) {}
        })
        .await
    }

    /// The costs of taking the answers in and of parsing one, in seconds.
    async fn measure(&mut self, [before, after]: &[String; 2]) -> (f64, f64) {
        let (query, path) = ("web".into(), "/v1/health/service/web?stale");
        let (mut taken_in, mut parsed, mut read) = (0.0, 0.0, 0.0);
        for _ in 0..IN_A_ROW {
            taken_in += self.taking_in(after).await + self.taking_in(before).await;
        }
        for _ in 0..2 * IN_A_ROW {
            parsed += cost(self.client.health(&query, None)).await;
        }
        for _ in 0..2 * IN_A_ROW {
            read += cost(self.client.get(path, WITHIN)).await;
        }
        let per_call = |all: f64| (all - read).max(1e-9) / (2 * IN_A_ROW) as f64;
        (per_call(taken_in), per_call(parsed))
    }
}

fn main() {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut caller = Caller::new();
        caller.taking_in(&answers(Change::One)[0]).await;
        for (name, change) in CHANGES {
            let (answers, mut rounds) = (answers(change), Vec::new());
            for _ in 0..ROUNDS {
                rounds.push(caller.measure(&answers).await);
            }
            let ratio = Ratio::of(&rounds);
            println!("{INSTANCES} instances, {name}: taken in to parsed, s of CPU: {ratio}");
        }
    });
}
