//! The calls of the agent client, on the embedded agent and on a real Consul.

use std::collections::BTreeMap;

use consul_wire::{agent::ServiceRegistration, service::Weights};
use discovery::{
    ServiceId,
    agent::{Maintenance, ReadOptions},
};

use crate::world::everywhere;

fn registration(id: &str) -> ServiceRegistration {
    ServiceRegistration {
        id: id.to_owned(),
        name: "web".to_owned(),
        tags: vec!["v1".to_owned()],
        address: None,
        port: 80,
        tagged_addresses: BTreeMap::new(),
        meta: BTreeMap::new(),
        weights: Weights::default(),
        checks: Vec::new(),
    }
}

#[tokio::test]
async fn any_id_can_be_registered_read_put_into_maintenance_and_deregistered() {
    everywhere(async |world| {
        let agent = world.discovery.agent();
        for text in ["web-1", "a b", "a/b", "käse", "50%", "a?b=c&d#e", "a+b", "service:x"] {
            let id = ServiceId::from(text);
            agent.register(&registration(text)).await.unwrap();
            let seen = agent.service(&id).await.unwrap().unwrap();
            assert_eq!((seen.id.as_str(), seen.port), (text, 80));
            agent.maintain(&id, Maintenance::On("so: ü & more".to_owned())).await.unwrap();
            let entries = agent.health(&"web".into(), None).await.unwrap().body;
            let notes: Vec<_> = entries[0].checks.iter().map(|check| &*check.notes).collect();
            assert!(notes.contains(&"so: ü & more"), "{text}: {notes:?}");
            agent.maintain(&id, Maintenance::Off).await.unwrap();
            agent.deregister(&id).await.unwrap();
            assert_eq!(agent.service(&id).await.unwrap(), None, "{text}");
            // A service that is not registered is not an error.
            agent.deregister(&id).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn an_unknown_check_or_service_is_not_registered() {
    everywhere(async |world| {
        let agent = world.discovery.agent();
        let heartbeat = agent.pass("service:nothing", "").await.unwrap_err();
        assert!(heartbeat.is_not_registered(), "{heartbeat}");
        let id = ServiceId::from("nothing");
        let maintenance = agent.maintain(&id, Maintenance::Off).await.unwrap_err();
        assert!(maintenance.is_not_registered(), "{maintenance}");
    })
    .await;
}

#[tokio::test]
async fn a_refusal_contains_the_reason() {
    everywhere(async |world| {
        let agent = world.discovery.agent();
        let address = Some("0.0.0.0".to_owned());
        let refused = ServiceRegistration { address, ..registration("web-1") };
        let text = agent.register(&refused).await.unwrap_err().to_string();
        let starts = "PUT /v1/agent/service/register?replace-existing-checks=true: the agent at";
        assert!(text.starts_with(starts), "{text}");
        assert!(text.contains("answered 400: Invalid service address"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn names_and_leader_are_read() {
    everywhere(async |world| {
        let agent = world.discovery.agent();
        agent.register(&registration("web-1")).await.unwrap();
        let services = agent.services(&ReadOptions::new()).await.unwrap();
        assert_eq!(services.body["web"], ["v1"]);
        assert!(services.known_leader && services.index.is_some());
        assert!(agent.leader().await.unwrap().is_some());
        assert_eq!(agent.agent_self().await.unwrap().config.datacenter, "dc1");
    })
    .await;
}
