//! The metrics of a program that calls through a Consul which fails and recovers.

use discovery::Discovery;
use serde_json::json;
use testkit::{ports, proxy::Mode};
use tokio::time::{Duration, sleep, timeout};

use crate::world::{SOON, everywhere};

/// Waits until the metric of `web`, with this label or none, is as wanted.
async fn until(
    discovery: &Discovery,
    name: &str,
    label: &[(&str, &str)],
    is_wanted: impl Fn(f64) -> bool,
) {
    let labels: Vec<_> = [("service", "web")].iter().chain(label).copied().collect();
    let reached = async {
        while !discovery.metrics().get(name, &labels).is_some_and(&is_wanted) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, reached).await.expect(name);
}

#[tokio::test]
async fn metrics_follow_the_agent_the_instances_and_the_calls() {
    everywhere(async |world| {
        let discovery = &world.discovery;
        assert_eq!(discovery.metrics().get("discovery_calls", &[("service", "web")]), None);
        let port = ports::unused().unwrap().port();
        let record = json!({"Name": "web", "Address": "127.0.0.1", "Port": port}).to_string();
        world.put("/v1/agent/service/register", &record).await;
        let _pool = discovery.pool("web");
        until(discovery, "discovery_members", &[("rank", "passing")], |it| it == 1.0).await;
        // Nothing listens at its address.
        discovery.client().get("http://web/").send().await.unwrap_err();
        until(discovery, "discovery_failed_tries", &[("reason", "not connected")], |it| it >= 1.0)
            .await;
        until(discovery, "discovery_calls_failed", &[], |it| it >= 1.0).await;
        until(discovery, "discovery_snapshot_index", &[], |it| it > 0.0).await;
        until(discovery, "discovery_answers", &[], |it| it >= 1.0).await;
        world.http.set(Mode::Status(500)).await.unwrap();
        world.http.cut().await.unwrap();
        until(discovery, "discovery_query_failing", &[], |it| it == 1.0).await;
        until(discovery, "discovery_query_failures", &[], |it| it >= 2.0).await;
        world.http.set(Mode::Pass).await.unwrap();
        until(discovery, "discovery_query_failing", &[], |it| it == 0.0).await;
        world.put("/v1/agent/service/deregister/web", "").await;
        for (rank, count) in [("passing", 0.0), ("ejected", 0.0), ("reserve", 1.0)] {
            until(discovery, "discovery_members", &[("rank", rank)], |it| it == count).await;
        }
    })
    .await;
}
