//! Tags, meta and weights that a program changes while it is registered.

use std::{sync::Arc, time::Duration};

use discovery::{Instance, Status, Watch, Weights, registration::RegistrationState};
use testkit::proxy::Mode;
use tokio::time::{sleep, timeout};

use super::{listener, ready, start, until_shown, web};
use crate::world::{SOON, World, everywhere};

/// Waits until the catalog shows these tags.
pub(super) async fn until_tagged(world: &World, tags: &[&str]) {
    let tagged = async {
        loop {
            let answer = world.direct.health(&"web".into(), None).await;
            // While the agent restarts there is none.
            if answer.is_ok_and(|it| it.body.iter().any(|entry| entry.service.tags == tags)) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, tagged).await.expect("not published in time");
}

/// Waits until a watch has the instance with these tags. It must have this one instance, with this status, all the time.
async fn until_seen(watch: &mut Watch, tags: &[&str], status: Status) -> Arc<Instance> {
    let seen = async {
        loop {
            let Some(snapshot) = watch.changed().await.snapshot else { continue };
            let [instance] = &*snapshot.instances else { panic!("a gap: {snapshot:?}") };
            assert_eq!(instance.status, status);
            if instance.tags == tags {
                return Arc::clone(instance);
            }
        }
    };
    timeout(SOON, seen).await.expect("not published in time")
}

#[tokio::test]
async fn a_change_is_published_without_a_gap() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener).tag("replica").meta("zone", "a"));
        ready(&registered).await;
        let mut watch = world.discovery.watch("web");
        registered
            .update(|details| {
                details.tags = vec!["primary".into()];
                details.meta.remove("zone");
                details.meta.insert("role".into(), "writer".into());
                details.weights = Weights::new(10, 2);
            })
            .unwrap();
        let instance = until_seen(&mut watch, &["primary"], Status::Passing).await;
        let own: Vec<_> = instance.meta.keys().filter(|key| *key != "incarnation").collect();
        assert_eq!(own, ["role"]);
        assert_eq!(instance.weights, Weights::new(10, 2));
        assert_eq!(registered.state(), RegistrationState::Ready);
    })
    .await;
}

#[tokio::test]
async fn a_change_keeps_the_reported_status() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener));
        ready(&registered).await;
        registered.warn("the disk is nearly full");
        until_shown(&world, &["web-1 warning"]).await;
        let mut watch = world.discovery.watch("web");
        registered.update(|details| details.tags.push("read-only".into())).unwrap();
        until_seen(&mut watch, &["read-only"], Status::Warning).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_lasts_across_a_loss_at_the_agent() {
    everywhere(async |mut world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener));
        ready(&registered).await;
        registered.update(|details| details.tags.push("primary".into())).unwrap();
        until_tagged(&world, &["primary"]).await;
        world.lose_everything().await;
        until_tagged(&world, &["primary"]).await;
    })
    .await;
}

#[tokio::test]
async fn changes_while_the_agent_is_away_are_published_together() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener));
        ready(&registered).await;
        world.http.set(Mode::Closed).await.unwrap();
        world.http.close().await.unwrap();
        for number in 0..100 {
            registered.update(|details| details.tags = vec![number.to_string()]).unwrap();
            sleep(Duration::from_millis(10)).await;
        }
        let before = world.http.requests();
        world.http.set(Mode::Pass).await.unwrap();
        until_tagged(&world, &["99"]).await;
        let requests = world.http.requests() - before;
        assert!(requests < 30, "{requests} requests");
    })
    .await;
}

#[tokio::test]
async fn an_invalid_change_is_an_error_and_changes_nothing() {
    let world = World::embedded().await;
    let listener = listener().await;
    let registered = start(&world, web(&listener).tag("v1"));
    ready(&registered).await;
    let error = registered
        .update(|details| {
            details.tags.push("v2".into());
            details.meta.insert("a key".into(), "v".into());
        })
        .unwrap_err();
    assert!(error.is_setting(), "{error}");
    assert_eq!(
        error.to_string(),
        r#""web" can't be registered: the meta key "a key" must have 1 to 128 letters, digits, - and _"#
    );
    registered.update(|details| details.tags.push("v3".into())).unwrap();
    until_tagged(&world, &["v1", "v3"]).await;
}

#[tokio::test]
async fn an_instance_whose_change_was_never_published_is_deregistered() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener));
        ready(&registered).await;
        world.http.set(Mode::Closed).await.unwrap();
        world.http.close().await.unwrap();
        registered.update(|details| details.tags.push("late".into())).unwrap();
        sleep(Duration::from_millis(1500)).await;
        let leaves = tokio::spawn(registered.leave());
        world.http.set(Mode::Pass).await.unwrap();
        timeout(SOON, leaves).await.expect("still leaving").unwrap();
        // Long before its agent would, a minute after its last heartbeat.
        timeout(SOON / 3, until_shown(&world, &[])).await.expect("not deregistered");
    })
    .await;
}
