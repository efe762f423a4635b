//! Queries that restrict the instances; each parameter is sent to Consul.

use std::time::Duration;

use discovery::{Consistency, Origin, Query, Source};
use http::Method;
use serde_json::json;
use testkit::{http::Request, proxy::Mode};
use tokio::time::{sleep, timeout};

use super::until::{shown, until, until_instances};
use crate::world::{Engine, SOON, World, everywhere};

impl World {
    /// Registers an instance on a node of its own, with a check of this status.
    async fn on_node(&self, node: &str, zone: &str, port: u16, status: &str) {
        let service = json!({"ID": "web", "Service": "web", "Address": "10.0.0.1", "Port": port,
            "Tags": [format!("on-{node}"), "all"], "Meta": {"zone": zone}});
        let check = json!({"CheckID": "c", "Name": "c", "ServiceID": "web", "Status": status});
        let body = json!({"Node": node, "Address": "10.0.0.9", "NodeMeta": {"zone": zone},
            "Service": service, "Check": check});
        self.put("/v1/catalog/register", &body.to_string()).await;
    }

    fn is_real(&self) -> bool {
        matches!(self.engine, Engine::Real(_))
    }
}

async fn check(world: &World, query: Query, expected: &[&str]) {
    let snapshot =
        world.discovery.ask(&query).await.unwrap_or_else(|err| panic!("{query:?}: {err}"));
    let instances: Vec<_> = snapshot.instances.iter().map(|it| it.to_string()).collect();
    assert_eq!(instances, expected, "{query:?}");
    until(&mut world.discovery.watch(&query), |watched| {
        let instances = watched.snapshot.iter().flat_map(|it| it.instances.iter());
        instances.map(|it| it.to_string()).eq(expected.iter().copied())
    })
    .await;
}

#[tokio::test]
async fn tags_status_consistency_and_datacenter_narrow_a_query() {
    everywhere(async |world| {
        for port in [80, 81] {
            let body = json!({"ID": format!("web-{port}"), "Name": "web", "Address": "10.0.0.1",
                "Port": port, "Tags": ["all", format!("p{port}")],
                "Check": {"TTL": "10m", "Status": "passing"}});
            world.put("/v1/agent/service/register", &body.to_string()).await;
        }
        world.report("warn", "web", 81).await;
        let web = || Query::new("web");
        let (one, other) = ("10.0.0.1:80", "10.0.0.1:81");
        for (query, expected) in [
            (web(), &[one, other][..]),
            (web().tag("p81"), &[other]),
            (web().tag("all").tag("p80"), &[one]),
            (web().tag("p80").tag("p81"), &[]),
            (web().only_passing(), &[one]),
            (web().consistency(Consistency::Default), &[one, other]),
            (web().consistency(Consistency::Consistent), &[one, other]),
            (web().consistency(Consistency::Cached), &[one, other]),
            (web().datacenter("dc1"), &[one, other]),
            (web().near("_agent"), &[one, other]),
            (web().node_meta("zone", "nowhere"), &[]),
            (web().source(Source::Dns), &[one, other]),
            (web().source(Source::Dns).tag("p81"), &[other]),
            (web().source(Source::Dns).datacenter("dc1"), &[one, other]),
        ] {
            check(&world, query, expected).await;
        }
        let err = world.discovery.ask(web().datacenter("nowhere")).await.unwrap_err();
        assert!(err.to_string().contains("answered 500: No path to datacenter"), "{err}");
        assert!(err.is_agent() && !err.is_call(), "{err:?}");
    })
    .await;
}

#[tokio::test]
async fn changes_arrive_through_the_cache_of_the_agent() {
    everywhere(async |world| {
        world.register("web", 80).await;
        let query = Query::new("web").consistency(Consistency::Cached);
        let mut watch = world.discovery.watch(&query);
        until_instances(&mut watch, &["10.0.0.1:80 passing"]).await;
        world.register("web", 81).await;
        until_instances(&mut watch, &["10.0.0.1:80 passing", "10.0.0.1:81 passing"]).await;
        world.deregister("web", 80).await;
        until_instances(&mut watch, &["10.0.0.1:81 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn an_instance_has_the_datacenter_and_meta_of_its_node() {
    everywhere(async |world| {
        world.register("web", 80).await;
        let snapshot = world.discovery.ask("web").await.unwrap();
        assert_eq!(snapshot.instances[0].datacenter.as_deref(), Some("dc1"));
        assert_eq!(snapshot.instances[0].node_meta["consul-network-segment"], "");
        let by_dns = world.discovery.ask(Query::new("web").source(Source::Dns)).await.unwrap();
        assert_eq!(by_dns.instances[0].datacenter, None);
    })
    .await;
}

#[tokio::test]
async fn filter_node_meta_and_near_are_evaluated_by_consul() {
    everywhere(async |world| {
        let web = || Query::new("web");
        if !world.is_real() {
            // It does not support filters, and must not ignore one.
            let err = world.discovery.ask(web().filter("Service.Port == 80")).await.unwrap_err();
            assert!(!err.is_retryable(), "{err}");
            return;
        }
        world.on_node("moe", "a", 80, "passing").await;
        world.on_node("curly", "b", 81, "critical").await;
        let (one, other) = ("10.0.0.1:80", "10.0.0.1:81");
        for (query, expected) in [
            (web().filter("Service.Meta.zone == \"a\""), &[one][..]),
            (web().filter("Service.Port == 81"), &[other]),
            (web().node_meta("zone", "b"), &[other]),
            (web().node_meta("zone", "a").only_passing(), &[one]),
            (web().node_meta("zone", "b").only_passing(), &[]),
        ] {
            check(&world, query, expected).await;
        }
        for (node, at) in [("moe", 0.0), ("curly", 0.5)] {
            let position = [at, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
            let coordinate =
                json!({"Vec": position, "Error": 0.1, "Adjustment": 0, "Height": 0.0001});
            let body = json!({"Node": node, "Coord": coordinate}).to_string();
            world.put("/v1/coordinate/update", &body).await;
        }
        for node in ["moe", "curly"] {
            // Consul stores coordinates with a delay.
            let nearest = async {
                while &*world.discovery.ask(web().near(node)).await.unwrap().instances[0].node
                    != node
                {
                    sleep(Duration::from_millis(100)).await;
                }
            };
            timeout(SOON, nearest).await.expect("not sorted by distance");
        }
        let err = world.discovery.ask(web().filter("no ( expression")).await.unwrap_err();
        assert!(err.is_agent() && !err.is_retryable(), "{err}");
    })
    .await;
}

#[tokio::test]
async fn a_prepared_query_is_polled() {
    everywhere(async |world| {
        if !world.is_real() {
            return;
        }
        world.on_node("moe", "a", 80, "passing").await;
        let definition = json!({"Name": "near-web",
            "Service": {"Service": "web", "Tags": ["all"], "OnlyPassing": false}});
        let create = Request::new(Method::POST, "/v1/query").body(definition.to_string());
        let created = create.send(world.engine.http_addr()).await.unwrap();
        assert!(created.status.is_success(), "{}", created.text());
        let id = created.json()["ID"].as_str().unwrap().to_owned();
        let mut watch = world.discovery.watch(Query::prepared("near-web"));
        let first = until_instances(&mut watch, &["10.0.0.1:80 passing"]).await;
        let snapshot = first.snapshot.unwrap();
        assert_eq!((snapshot.origin, snapshot.index), (Origin::PreparedQuery, 0));
        world.on_node("curly", "b", 81, "warning").await;
        let both = ["10.0.0.1:81 warning", "10.0.0.1:80 passing"];
        until_instances(&mut watch, &both).await;
        for query in [Query::prepared(id), Query::prepared("near-web").source(Source::Dns)] {
            until(&mut world.discovery.watch(query), |watched| shown(watched).len() == 2).await;
        }
        check(&world, Query::prepared("near-web").only_passing(), &["10.0.0.1:80"]).await;
        let missing = world.discovery.ask(Query::prepared("missing")).await.unwrap_err();
        assert!(missing.is_not_found() && !missing.is_retryable(), "{missing}");
    })
    .await;
}

#[tokio::test]
async fn when_the_first_source_fails_the_next_one_answers_until_it_recovers() {
    everywhere(async |world| {
        world.register("web", 80).await;
        let query = Query::new("web").source("catalog,dns".parse().unwrap());
        let mut watch = world.discovery.watch(&query);
        let by = async |watch: &mut _, origin| {
            until(watch, |watched| {
                let origins = watched.snapshot.iter().map(|it| it.origin);
                watched.failure.is_none() && origins.eq([origin])
            })
            .await
        };
        by(&mut watch, Origin::Catalog).await;
        for mode in [Mode::Status(500), Mode::Closed] {
            world.http.set(mode).await.unwrap();
            world.http.cut().await.unwrap();
            let watched = by(&mut watch, Origin::Dns).await;
            assert_eq!(shown(&watched), ["10.0.0.1:80 passing"]);
            world.http.set(Mode::Pass).await.unwrap();
            by(&mut watch, Origin::Catalog).await;
        }
        // An empty answer is not a failure.
        let empty = world.discovery.ask(Query::new("none").source("catalog,dns".parse().unwrap()));
        assert_eq!(empty.await.unwrap().origin, Origin::Catalog);
        world.http.set(Mode::Closed).await.unwrap();
        world.http.cut().await.unwrap();
        world.dns.set(Mode::Closed).await.unwrap();
        world.dns.cut().await.unwrap();
        let failed = until(&mut watch, |watched| watched.failure.is_some()).await;
        let text = failed.failure.unwrap().to_string();
        assert!(text.contains("the agent at") || text.contains("no agent"), "{text}");
        assert!(text.contains("; SRV web.service.consul.: "), "{text}");
        assert_eq!(shown(&watch.current()), ["10.0.0.1:80 passing"]);
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_changes_has_failures_and_snapshots() {
    let world = World::embedded().await;
    world.register("web", 80).await;
    let mut changes = Box::pin(world.discovery.watch("web").changes());
    let mut next = async || {
        let next = std::future::poll_fn(|cx| futures_core::Stream::poll_next(changes.as_mut(), cx));
        timeout(SOON, next).await.expect("no change").unwrap()
    };
    assert_eq!(shown(&next().await), ["10.0.0.1:80 passing"]);
    world.register("web", 81).await;
    assert_eq!(shown(&next().await), ["10.0.0.1:80 passing", "10.0.0.1:81 passing"]);
    world.http.set(Mode::Closed).await.unwrap();
    world.http.cut().await.unwrap();
    let failed = next().await;
    assert!(failed.failure.is_some());
    assert_eq!(shown(&failed).len(), 2);
}
