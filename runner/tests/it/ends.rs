//! The end of a program, and what prevents its start.

use std::time::Duration;

use tokio::net::TcpListener;

use crate::world::{World, everywhere, free, plan, service};

#[tokio::test]
async fn a_program_that_ends_is_deregistered_at_once() {
    everywhere(async |world| {
        let dir = tempfile::tempdir().unwrap();
        let stays = dir.path().join("stays");
        std::fs::write(&stays, "").unwrap();
        let script = format!("while test -e {}; do sleep 0.05; done; exit 7", stays.display());
        let (web, admin) = (free(), free());
        let services = vec![service("web", web, "tcp"), service("admin", admin, "tcp")];
        let mut plan = plan(&script, services);
        // Without effect: the program has ended.
        plan.drain = Duration::from_secs(3600);
        let mut running = world.start(plan).await;
        let _web = TcpListener::bind(web).await.unwrap();
        let _admin = TcpListener::bind(admin).await.unwrap();
        world.until_shown("web", &["web-1 passing"]).await;
        world.until_shown("admin", &["admin-1 passing"]).await;
        std::fs::remove_file(&stays).unwrap();
        assert_eq!(running.ended().await.unwrap(), 7);
        assert_eq!(world.shown("web").await, [""; 0]);
        assert_eq!(world.shown("admin").await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_can_not_be_reached_changes_nothing_for_the_program() {
    let settings = discovery::agent::AgentSettings::new(free());
    let discovery = discovery::Discovery::new(discovery::Settings::new(settings)).unwrap();
    let code = runner::run(&discovery, plan("exit 3", vec![service("web", free(), "tcp")])).await;
    assert_eq!(code.unwrap(), 3);
}

#[tokio::test]
async fn exit_codes_are_those_of_a_shell() {
    let world = World::embedded().await;
    for (script, code) in [
        ("exit 0", 0),
        ("exit 1", 1),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -SEGV $$", 139),
    ] {
        let mut running = world.run(plan(script, vec![service("web", free(), "tcp")]));
        assert_eq!(running.ended().await.unwrap(), code, "{script}");
    }
}

#[tokio::test]
async fn what_can_not_be_run_is_refused_before_anything_is_started() {
    let world = World::embedded().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let in_use = listener.local_addr().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let not_executable = dir.path().join("data");
    std::fs::write(&not_executable, "data").unwrap();
    let not_executable = not_executable.to_str().unwrap();
    for (program, service, code, text) in [
        (
            "no-such-program",
            service("web", free(), "tcp"),
            127,
            "\"no-such-program\" was not found in PATH".to_owned(),
        ),
        ("/no/such", service("web", free(), "tcp"), 127, "\"/no/such\" was not found".to_owned()),
        (
            not_executable,
            service("web", free(), "tcp"),
            126,
            format!("{not_executable:?} can't be executed: Permission denied (os error 13)"),
        ),
        (
            "true",
            service("web", in_use, "tcp"),
            125,
            format!(
                "another process already listens on {in_use}, the port of web: stop it, or give the program another port"
            ),
        ),
        (
            "true",
            service("web site", free(), "tcp"),
            125,
            "\"web site\" can't be registered: a name must be valid in URLs and DNS: 1 to 63 letters, digits, - and _"
                .to_owned(),
        ),
    ] {
        let mut plan = plan("", vec![service]);
        plan.command = vec![program.into()];
        let err = world.run(plan).ended().await.unwrap_err();
        assert_eq!((err.to_string(), err.exit_code()), (text, code));
    }
}
