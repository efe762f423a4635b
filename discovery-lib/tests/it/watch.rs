//! Watches of a Consul that is healthy, that fails and that loses its data.

mod bad_agents;
pub(crate) mod disk;
mod failover;
mod left_out;
mod query;
pub(crate) mod until;

use std::time::Duration;

use discovery::{Origin, Query, Source};
use testkit::proxy::Mode;
use tokio::time::{Instant, sleep};

use crate::world::everywhere;
use until::{shown, until, until_instances};

fn by(source: Source) -> Query {
    Query::new("web").source(source)
}

#[tokio::test]
async fn the_catalog_has_every_instance_with_its_status() {
    everywhere(async |world| {
        world.register("web", 80).await;
        let mut watch = world.discovery.watch("web");
        let first = until_instances(&mut watch, &["10.0.0.1:80 passing"]).await;
        assert_eq!(first.snapshot.unwrap().origin, Origin::Catalog);
        world.register("web", 81).await;
        until_instances(&mut watch, &["10.0.0.1:80 passing", "10.0.0.1:81 passing"]).await;
        world.report("warn", "web", 80).await;
        until_instances(&mut watch, &["10.0.0.1:80 warning", "10.0.0.1:81 passing"]).await;
        world.report("fail", "web", 80).await;
        until_instances(&mut watch, &["10.0.0.1:80 critical", "10.0.0.1:81 passing"]).await;
        world.put("/v1/agent/service/maintenance/web-80?enable=true", "").await;
        until_instances(&mut watch, &["10.0.0.1:80 maintenance", "10.0.0.1:81 passing"]).await;
        world.deregister("web", 80).await;
        until_instances(&mut watch, &["10.0.0.1:81 passing"]).await;
        world.deregister("web", 81).await;
        until_instances(&mut watch, &[]).await;
    })
    .await;
}

#[tokio::test]
async fn dns_has_every_instance_that_is_not_critical() {
    everywhere(async |world| {
        world.register("web", 80).await;
        let mut watch = world.discovery.watch(by(Source::Dns));
        let first = until_instances(&mut watch, &["10.0.0.1:80 passing"]).await;
        assert_eq!(first.snapshot.unwrap().origin, Origin::Dns);
        world.register("web", 81).await;
        until_instances(&mut watch, &["10.0.0.1:80 passing", "10.0.0.1:81 passing"]).await;
        world.report("fail", "web", 80).await;
        until_instances(&mut watch, &["10.0.0.1:81 passing"]).await;
        world.report("pass", "web", 80).await;
        until_instances(&mut watch, &["10.0.0.1:80 passing", "10.0.0.1:81 passing"]).await;
        world.deregister("web", 80).await;
        world.deregister("web", 81).await;
        until_instances(&mut watch, &[]).await;
    })
    .await;
}

#[tokio::test]
async fn dns_leaves_no_instance_out() {
    everywhere(async |world| {
        for port in 1..=60 {
            world.register("web", port).await;
        }
        let mut watch = world.discovery.watch(by(Source::Dns));
        until(&mut watch, |watched| shown(watched).len() == 60).await;
    })
    .await;
}

#[tokio::test]
async fn no_instance_is_an_answer() {
    everywhere(async |world| {
        for source in [Source::Catalog, Source::Dns] {
            let query = Query::new("nobody").source(source);
            until_instances(&mut world.discovery.watch(query), &[]).await;
        }
    })
    .await;
}

/// For each fault of the agent: what was known is kept and its age grows, the failure is published, queries are not sent in a busy loop, and the
/// watch recovers with the agent.
async fn failures_keep_the_known_instances(source: Source, modes: &[Mode]) {
    everywhere(async |world| {
        world.register("web", 80).await;
        let proxy = if source == Source::Dns { &world.dns } else { &world.http };
        let known = ["10.0.0.1:80 passing"];
        let mut watch = world.discovery.watch(by(source.clone()));
        until_instances(&mut watch, &known).await;
        for mode in modes {
            proxy.set(*mode).await.unwrap();
            proxy.cut().await.unwrap();
            let failed = until(&mut watch, |watched| watched.failure.is_some()).await;
            assert_eq!(shown(&failed), known, "{mode:?}");
            let (asked, start) = (proxy.requests() + proxy.accepted(), Instant::now());
            sleep(Duration::from_secs(1)).await;
            let asked = proxy.requests() + proxy.accepted() - asked;
            let allowed = queries_in(start.elapsed()) * 2;
            assert!(asked <= allowed, "{asked} requests and connections, not {allowed}, {mode:?}");
            let still = watch.current();
            assert_eq!(shown(&still), known, "{mode:?}");
            assert_eq!(as_of(&still), as_of(&failed), "{mode:?}: its age grows");
            proxy.set(Mode::Pass).await.unwrap();
            let recovered = until(&mut watch, |watched| watched.failure.is_none()).await;
            assert_eq!(shown(&recovered), known, "{mode:?}");
        }
    })
    .await;
}

/// The number of queries that may be sent in this time: two at once, and one more every 100 ms. Each is one connection and request at most.
fn queries_in(elapsed: Duration) -> u64 {
    2 + elapsed.as_millis() as u64 / 100
}

#[tokio::test]
async fn failures_of_the_catalog_keep_the_known_instances() {
    let modes = [Mode::Status(500), Mode::Garbage, Mode::Reset, Mode::Closed, Mode::Hang];
    failures_keep_the_known_instances(Source::Catalog, &modes).await;
}

#[tokio::test]
async fn failures_of_dns_keep_the_known_instances() {
    let modes = [Mode::Reset, Mode::Closed, Mode::Hang];
    failures_keep_the_known_instances(Source::Dns, &modes).await;
}

#[tokio::test]
async fn a_frozen_agent_is_a_failure_until_it_thaws() {
    everywhere(async |world| {
        world.register("web", 80).await;
        world.freeze();
        let mut watches =
            [Source::Catalog, Source::Dns].map(|source| world.discovery.watch(by(source)));
        for watch in &mut watches {
            let failed = until(watch, |watched| watched.failure.is_some()).await;
            assert!(failed.snapshot.is_none());
            assert!(failed.failure.unwrap().is_timeout());
        }
        world.thaw();
        for watch in &mut watches {
            until_instances(watch, &["10.0.0.1:80 passing"]).await;
        }
    })
    .await;
}

fn as_of(watched: &discovery::Watched) -> Instant {
    watched.snapshot.as_ref().unwrap().as_of
}

#[tokio::test]
async fn a_consul_that_lost_its_data_gets_no_future_index() {
    everywhere(async |mut world| {
        for port in 1..30 {
            world.register("web", port).await;
        }
        let mut watches =
            [Source::Catalog, Source::Dns].map(|source| world.discovery.watch(by(source)));
        for watch in &mut watches {
            until(watch, |watched| shown(watched).len() == 29).await;
        }
        world.lose_everything().await;
        for watch in &mut watches {
            until_instances(watch, &[]).await;
        }
        world.register("web", 80).await;
        for watch in &mut watches {
            until_instances(watch, &["10.0.0.1:80 passing"]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn many_services_share_few_connections_and_all_changes_arrive() {
    const SERVICES: u16 = 100;
    everywhere(async |world| {
        let names: Vec<_> = (0..SERVICES).map(|number| format!("web{number}")).collect();
        let mut watches: Vec<_> = names.iter().map(|name| world.discovery.watch(name)).collect();
        for watch in &mut watches {
            until_instances(watch, &[]).await;
        }
        for round in 1..=2 {
            for name in &names {
                world.register(name, round).await;
            }
            for watch in &mut watches {
                until(watch, |watched| shown(watched).len() == usize::from(round)).await;
            }
        }
        assert!(world.http.accepted() <= 64, "{} connections", world.http.accepted());
    })
    .await;
}
