//! Registrations that are out of bounds, and those that the agent rejects.

use discovery::{
    Discovery, Error, Registration, Settings, agent::AgentSettings, registration::RegistrationState,
};
use serde_json::json;
use testkit::{
    consul::{Binary, Consul},
    proxy::Mode,
};
use tokio::{net::TcpListener, time::timeout};

use super::{listener, reaches, ready, start, until_shown, web};
use crate::world::{SOON, World, everywhere};

#[tokio::test]
async fn a_registration_out_of_bounds_is_refused_at_once() {
    let world = World::embedded().await;
    let listener = listener().await;
    let local = listener.local_addr().unwrap();
    let full = (0..64).fold(web(&listener), |it, n| it.meta(format!("k{n}"), "v"));
    for (registration, expected) in [
        (Registration::new("", local), "1 to 63 letters, digits, - and _"),
        (Registration::new("a.b", local), "1 to 63 letters, digits, - and _"),
        (web(&listener).id("a//b"), "an empty part, . or .. between slashes"),
        (web(&listener).id("a/../b"), "an empty part, . or .. between slashes"),
        (web(&listener).id("."), "an empty part, . or .. between slashes"),
        (web(&listener).meta("a key", "v"), "must have 1 to 128 letters, digits, - and _"),
        (full, "64 pairs of meta; the limit is 63, because one more is added"),
    ] {
        let err = world.discovery.register(registration).unwrap_err();
        assert!(err.is_setting() && err.to_string().contains(expected), "{err}");
    }
    assert_eq!(world.http.requests(), 0);
}

#[tokio::test]
async fn every_registration_within_bounds_is_accepted_by_consul() {
    everywhere(async |world| {
        let listener = listener().await;
        let meta = |it: Registration| {
            let it = (0..62).fold(it, |it, n| it.meta(format!("k{n}"), "v"));
            it.meta("k".repeat(128), "v".repeat(512))
        };
        for id in ["a/b", "a/", "..a", "käse", "a b%2F?c#d", "a\\b;+:\"", &"i".repeat(255)] {
            let tagged = web(&listener).id(id).tag("").tag("a tag, ä").tag("t".repeat(512));
            let registered = start(&world, meta(tagged));
            ready(&registered).await;
            timeout(SOON, registered.leave()).await.unwrap();
            until_shown(&world, &[]).await;
        }
        let local = listener.local_addr().unwrap();
        for name in ["n".repeat(63), "Web_1-".to_owned()] {
            let registered = start(&world, Registration::new(name, local).id("web-1"));
            ready(&registered).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_refusal_of_the_agent_ends_the_wait_for_ready() {
    for status in [400, 401, 403, 404] {
        let world = World::embedded().await;
        world.http.set(Mode::Status(status)).await.unwrap();
        let listener = listener().await;
        let mut registered = start(&world, web(&listener));
        let refused = timeout(SOON, registered.ready()).await.expect("still waits").unwrap_err();
        assert_eq!(refused.status().map(|it| it.as_u16()), Some(status));
        reaches(&mut registered, RegistrationState::Refused).await;
        assert_eq!(registered.refusal().unwrap().to_string(), refused.to_string());
        assert!(!registered.is_ready());
    }
}

#[tokio::test]
async fn a_refused_heartbeat_is_reported_until_one_succeeds() {
    let world = World::embedded().await;
    let listener = listener().await;
    let mut registered = start(&world, web(&listener));
    ready(&registered).await;
    world.http.set(Mode::Status(403)).await.unwrap();
    reaches(&mut registered, RegistrationState::Refused).await;
    assert!(registered.refusal().unwrap().is_refused());
    assert!(registered.is_ready(), "it is in the catalog until its TTL is over");
    world.http.set(Mode::Pass).await.unwrap();
    reaches(&mut registered, RegistrationState::Ready).await;
    assert!(registered.refusal().is_none());
}

#[tokio::test]
async fn a_listener_of_another_family_than_its_node_is_refused() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let consul = Consul::of(&binary).config(json!({"advertise_addr": "::1"})).start().await;
    let consul = consul.unwrap();
    let agent = AgentSettings::new(consul.http_addr());
    let discovery = Discovery::new(Settings::new(agent)).unwrap();
    for (bound, is_refused) in [("0.0.0.0:0", true), ("[::]:0", false)] {
        let listener = TcpListener::bind(bound).await.unwrap();
        let local = listener.local_addr().unwrap();
        let registered = discovery.register(Registration::new("web", local)).unwrap();
        registered.set_accepting();
        let outcome = timeout(SOON, registered.ready()).await.expect("still waits");
        assert_eq!(
            outcome.as_ref().is_err_and(Error::is_setting),
            is_refused,
            "{bound}: {outcome:?}"
        );
        let text = outcome.err().map(|err| err.to_string()).unwrap_or_default();
        assert_eq!(
            text.contains(&format!("listen on [::]:{}", local.port())),
            is_refused,
            "{text}"
        );
    }
}
