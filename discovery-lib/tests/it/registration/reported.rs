//! The status that a program reports itself.

use super::{start, until_shown, web};
use crate::world::everywhere;

#[tokio::test]
async fn a_report_changes_the_status_at_once() {
    everywhere(async |world| {
        let listener = super::listener().await;
        let registered = start(&world, web(&listener));
        super::ready(&registered).await;
        registered.fail("the database does not answer");
        until_shown(&world, &["web-1 critical"]).await;
        assert_eq!(output(&world).await, "the database does not answer");
        registered.warn("the disk is nearly full");
        until_shown(&world, &["web-1 warning"]).await;
        registered.lifecycle().pass("well");
        until_shown(&world, &["web-1 passing"]).await;
        assert_eq!(output(&world).await, "well");
    })
    .await;
}

#[tokio::test]
async fn a_report_lasts_across_a_loss_at_the_agent() {
    everywhere(async |mut world| {
        let listener = super::listener().await;
        let registered = start(&world, web(&listener));
        super::ready(&registered).await;
        registered.warn("the disk is nearly full");
        until_shown(&world, &["web-1 warning"]).await;
        world.lose_everything().await;
        until_shown(&world, &["web-1 warning"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_critical_instance_is_registered_again_when_it_passes() {
    everywhere(async |world| {
        let listener = super::listener().await;
        let registered = start(&world, web(&listener));
        super::ready(&registered).await;
        registered.fail("overloaded");
        until_shown(&world, &["web-1 critical"]).await;
        // As the agent does after a minute.
        world.direct.deregister(registered.id()).await.unwrap();
        until_shown(&world, &[]).await;
        registered.pass("well");
        until_shown(&world, &["web-1 passing"]).await;
    })
    .await;
}

/// The output of the check of the instance.
async fn output(world: &crate::world::World) -> String {
    let entries = world.direct.health(&"web".into(), None).await.unwrap().body;
    let is_own = |check: &&consul_wire::check::HealthCheck| check.check_id == "service:web-1";
    entries[0].checks.iter().find(is_own).unwrap().output.clone()
}
