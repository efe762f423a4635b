//! Instances with several checks, and what is at the agent beside these: checks of earlier runs, and those of operators.

use std::time::Duration;

use discovery::{
    Instance, Registered, TaggedAddress,
    registration::{Check, CheckSchedule},
};
use testkit::http::Request;
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

use super::{
    checks::{Server, often},
    listener, ready, shown, start, until_shown, web,
};
use crate::world::{SOON, World, everywhere};

/// The checks of the instance at the agent, with their statuses.
async fn checks(world: &World) -> Vec<String> {
    let answer = Request::get("/v1/agent/checks").send(world.engine.http_addr()).await.unwrap();
    let checks = answer.json();
    let own = checks.as_object().unwrap().values().filter(|check| check["ServiceID"] == "web-1");
    let text = |check: &serde_json::Value, key: &str| check[key].as_str().unwrap().to_owned();
    own.map(|check| format!("{} {}", text(check, "CheckID"), text(check, "Status"))).collect()
}

async fn until_checks(world: &World, expected: &[&str]) {
    let are_there = async {
        while checks(world).await != expected {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(SOON, are_there).await.is_err() {
        panic!("not {expected:?} in time, but {:?}", checks(world).await);
    }
}

/// A run of the instance that ends without deregistration.
async fn earlier_run(
    world: &World,
    listener: &TcpListener,
    checks: impl IntoIterator<Item = Check>,
) {
    let registered = start(world, web(listener).checks(checks));
    ready(&registered).await;
    drop(registered);
}

fn maintenance(query: &str) -> String {
    format!("/v1/agent/service/maintenance/web-1?{query}")
}

async fn retag(registered: &Registered, world: &World, tag: &str) {
    registered.update(|details| details.tags = vec![tag.to_owned()]).unwrap();
    super::updated::until_tagged(world, &[tag]).await;
}

#[tokio::test]
async fn the_worst_check_is_the_status_of_the_instance() {
    everywhere(async |world| {
        let listener = listener().await;
        let checks = [Check::http("/health", often()), Check::Ttl];
        let registered = start(&world, web(&listener).checks(checks));
        ready(&registered).await;
        let server = Server::start(listener);
        until_checks(&world, &["service:web-1 passing", "service:web-1:2 passing"]).await;
        registered.warn("the disk is nearly full");
        until_shown(&world, &["web-1 warning"]).await;
        server.set(false);
        until_shown(&world, &["web-1 critical"]).await;
        until_checks(&world, &["service:web-1 warning", "service:web-1:2 critical"]).await;
        server.set(true);
        until_shown(&world, &["web-1 warning"]).await;
        registered.pass("space was freed");
        until_shown(&world, &["web-1 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn checks_of_an_earlier_run_are_deregistered() {
    for (checks, left) in
        [(vec![Check::Ttl], &["service:web-1 passing"] as &[_]), (vec![Check::None], &[])]
    {
        everywhere(async |world| {
            let listener = listener().await;
            let closed = Check::http("http://127.0.0.1:1/", often());
            earlier_run(&world, &listener, [Check::Ttl, closed.clone(), closed]).await;
            until_shown(&world, &["web-1 critical"]).await;
            let registered = start(&world, web(&listener).checks(checks.clone()));
            ready(&registered).await;
            assert_eq!(self::checks(&world).await, left);
            until_shown(&world, &["web-1 passing"]).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_check_that_others_deregister_is_registered_again() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener).checks([Check::Ttl, Check::tcp(often())]));
        ready(&registered).await;
        world.put("/v1/agent/check/deregister/service:web-1:2", "").await;
        until_checks(&world, &["service:web-1 passing", "service:web-1:2 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn what_an_operator_added_stays() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener));
        ready(&registered).await;
        let disk =
            r#"{"ID":"disk","Name":"disk","ServiceID":"web-1","TTL":"1h","Status":"passing"}"#;
        world.put("/v1/agent/check/register", disk).await;
        world.put(&maintenance("enable=true&reason=new%20disk"), "").await;
        let all = ["_service_maintenance:web-1 critical", "disk passing", "service:web-1 passing"];
        retag(&registered, &world, "changed").await;
        assert_eq!(checks(&world).await, all);
        // A crash and a new run.
        drop(registered);
        let registered = start(&world, web(&listener));
        ready(&registered).await;
        assert_eq!(checks(&world).await, all);
        world.put(&maintenance("enable=false"), "").await;
        until_shown(&world, &["web-1 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_run_that_was_killed_while_it_left_is_no_longer_in_maintenance() {
    everywhere(async |world| {
        let listener = listener().await;
        earlier_run(&world, &listener, [Check::Ttl]).await;
        world.put(&maintenance("enable=true&reason=shutting%20down"), "").await;
        until_shown(&world, &["web-1 maintenance"]).await;
        let registered = start(&world, web(&listener));
        ready(&registered).await;
        until_shown(&world, &["web-1 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn failures_below_the_threshold_change_nothing() {
    everywhere(async |world| {
        let listener = listener().await;
        let schedule: CheckSchedule = often().failures_before_critical(100);
        let registered = start(&world, web(&listener).check(Check::http("/health", schedule)));
        ready(&registered).await;
        let server = Server::start(listener);
        server.polled(1).await;
        until_shown(&world, &["web-1 passing"]).await;
        server.set(false);
        server.polled(3).await;
        assert_eq!(shown(&world).await, ["web-1 passing"]);
    })
    .await;
}

#[tokio::test]
async fn tagged_addresses_reach_the_callers() {
    everywhere(async |world| {
        let listener = listener().await;
        let registration = web(&listener)
            .advertise("10.0.0.1:80".parse().unwrap())
            .probe(|| async { Ok::<_, std::io::Error>(()) })
            .tagged_address("wan", "web.example", 443)
            .tagged_address("v6", "2001:db8::1", 8443);
        let registered = start(&world, registration);
        ready(&registered).await;
        let mut watch = world.discovery.watch("web");
        let instance: Instance = loop {
            let snapshot = watch.changed().await.snapshot;
            if let Some(instance) = snapshot.and_then(|it| it.instances.first().cloned()) {
                break (*instance).clone();
            }
        };
        let expected = [
            ("v6".to_owned(), TaggedAddress::new("2001:db8::1", 8443)),
            ("wan".to_owned(), TaggedAddress::new("web.example", 443)),
        ];
        assert_eq!(instance.tagged_addresses, expected.into());
    })
    .await;
}
