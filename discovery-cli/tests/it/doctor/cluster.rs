//! `doctor` at a cluster of three servers: well, and without a leader.

use std::time::Duration;

use serde_json::json;
use testkit::{
    consul::{Binary, Consul},
    http::Request,
};
use tokio::time::{Instant, sleep};

use super::{
    at_consul,
    world::{Seen, run},
};
use crate::process::WAIT_MAX;

/// The first server elects itself, the others join it.
async fn cluster(binary: &Binary) -> Vec<Consul> {
    let mut servers = vec![Consul::of(binary).start().await.unwrap()];
    for node in ["node2", "node3"] {
        let joined =
            json!({ "bootstrap": false, "retry_join": [servers[0].serf_addr().to_string()] });
        servers.push(Consul::of(binary).node(node).config(joined).start().await.unwrap());
    }
    servers
}

#[tokio::test]
async fn nothing_is_found_at_a_well_cluster_and_a_lost_leader_is() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let mut servers = cluster(&binary).await;
    for server in &servers {
        // A joined server is found before the others have all of its ports.
        until(server, |seen| seen.kinds.is_empty() && seen.page.contains(": 6 of other members"))
            .await;
    }
    voters(&servers[0], 3).await;
    for server in &mut servers[1..] {
        server.kill().unwrap();
    }
    until(&servers[0], |seen| seen.kinds.iter().any(|kind| kind == "leader")).await;
}

/// Waits until this number of servers vote: a joined one does after a while, and only then counts for the quorum.
async fn voters(server: &Consul, count: usize) {
    let started = Instant::now();
    loop {
        let request = Request::get("/v1/operator/raft/configuration");
        let peers = request.send(server.http_addr()).await.unwrap().json();
        let voting = peers["Servers"].as_array().into_iter().flatten();
        if voting.filter(|it| it["Voter"] == true).count() == count {
            return;
        }
        assert!(started.elapsed() < WAIT_MAX, "{peers}");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Runs it until the findings are these.
async fn until(server: &Consul, is_done: impl Fn(&Seen) -> bool) {
    let started = Instant::now();
    loop {
        let seen = run(&at_consul(server), &[]).await;
        if is_done(&seen) {
            return;
        }
        assert!(started.elapsed() < WAIT_MAX, "{}", seen.page);
        sleep(Duration::from_millis(200)).await;
    }
}
