//! Watches of a Consul that works, that fails and that forgets.

mod odd;
pub(crate) mod until;

use std::time::Duration;

use discovery::{Origin, Resolve};
use testkit::proxy::Mode;
use tokio::time::{Instant, sleep};

use crate::world::everywhere;
use until::{shown, until, until_instances};

#[tokio::test]
async fn the_catalog_tells_every_instance_and_how_it_stands() {
    everywhere(async |world| {
        world.register("web", 80).await;
        let mut watch = world.discovery.watch("web", &Resolve::Catalog);
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
async fn dns_tells_every_instance_that_is_not_critical() {
    everywhere(async |world| {
        world.register("web", 80).await;
        let mut watch = world.discovery.watch("web", &Resolve::Dns);
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
        let mut watch = world.discovery.watch("web", &Resolve::Dns);
        until(&mut watch, |watched| shown(watched).len() == 60).await;
    })
    .await;
}

#[tokio::test]
async fn nobody_is_an_answer_too() {
    everywhere(async |world| {
        for resolve in [Resolve::Catalog, Resolve::Dns] {
            until_instances(&mut world.discovery.watch("nobody", &resolve), &[]).await;
        }
    })
    .await;
}

/// Whatever the agent does instead of answering: what was known stays and grows older, the failure is told, nobody asks in a busy loop, and
/// all is well once the agent is.
async fn failures_change_nothing_that_is_known(resolve: Resolve, modes: &[Mode]) {
    everywhere(async |world| {
        world.register("web", 80).await;
        let proxy = if resolve == Resolve::Dns { &world.dns } else { &world.http };
        let known = ["10.0.0.1:80 passing"];
        let mut watch = world.discovery.watch("web", &resolve);
        until_instances(&mut watch, &known).await;
        for mode in modes {
            proxy.set(*mode).await.unwrap();
            proxy.cut().await.unwrap();
            let failed = until(&mut watch, |watched| watched.failure.is_some()).await;
            assert_eq!(shown(&failed), known, "{mode:?}");
            let (asked, start) = (proxy.requests() + proxy.accepted(), Instant::now());
            sleep(Duration::from_secs(1)).await;
            let asked = proxy.requests() + proxy.accepted() - asked;
            let allowed = questions_in(start.elapsed()) * 2;
            assert!(asked <= allowed, "{asked} requests and connections, not {allowed}, {mode:?}");
            let still = watch.current();
            assert_eq!(shown(&still), known, "{mode:?}");
            assert_eq!(as_of(&still), as_of(&failed), "{mode:?}: it grows older");
            proxy.set(Mode::Pass).await.unwrap();
            let well = until(&mut watch, |watched| watched.failure.is_none()).await;
            assert_eq!(shown(&well), known, "{mode:?}");
        }
    })
    .await;
}

/// How many questions may begin in this time: two at once, and one more every 100 ms. Each is a connection and a request at most.
fn questions_in(elapsed: Duration) -> u64 {
    2 + elapsed.as_millis() as u64 / 100
}

#[tokio::test]
async fn failures_of_the_catalog_change_nothing_that_is_known() {
    let modes = [Mode::Status(500), Mode::Garbage, Mode::Reset, Mode::Closed, Mode::Hang];
    failures_change_nothing_that_is_known(Resolve::Catalog, &modes).await;
}

#[tokio::test]
async fn failures_of_dns_change_nothing_that_is_known() {
    let modes = [Mode::Reset, Mode::Closed, Mode::Hang];
    failures_change_nothing_that_is_known(Resolve::Dns, &modes).await;
}

#[tokio::test]
async fn a_frozen_agent_is_a_failure_until_it_thaws() {
    everywhere(async |world| {
        world.register("web", 80).await;
        world.freeze();
        let mut watches =
            [Resolve::Catalog, Resolve::Dns].map(|resolve| world.discovery.watch("web", &resolve));
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
async fn a_consul_that_lost_its_data_is_not_asked_with_an_index_of_its_future() {
    everywhere(async |mut world| {
        for port in 1..30 {
            world.register("web", port).await;
        }
        let mut watches =
            [Resolve::Catalog, Resolve::Dns].map(|resolve| world.discovery.watch("web", &resolve));
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
async fn many_services_share_few_connections_and_all_hear_of_changes() {
    const SERVICES: u16 = 100;
    everywhere(async |world| {
        let names: Vec<_> = (0..SERVICES).map(|number| format!("web{number}")).collect();
        let mut watches: Vec<_> =
            names.iter().map(|name| world.discovery.watch(name, &Resolve::Catalog)).collect();
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
