//! Checks of every kind: which requests the agent sends, and what their results change.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use discovery::{
    Registered,
    registration::{Check, CheckSchedule, RegistrationState},
};
use testkit::proxy::Mode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{listener, reaches, ready, shown, start, until_shown, web};
use crate::world::{Engine, SOON, World, everywhere};

pub(super) fn often() -> CheckSchedule {
    CheckSchedule::new().interval(Duration::from_secs(1))
}

/// A server whose health can be changed. It answers 404 to any other path than `/health`.
pub(super) struct Server {
    is_healthy: Arc<AtomicBool>,
    polls: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Server {
    pub(super) fn start(listener: TcpListener) -> Self {
        let (is_healthy, polls) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, is_healthy.clone(), polls.clone()));
        Self { is_healthy, polls, _serving: serving }
    }

    pub(super) fn set(&self, is_healthy: bool) {
        self.is_healthy.store(is_healthy, Relaxed);
    }

    /// Waits until the agent has the results of this number of further polls.
    pub(super) async fn polled(&self, further: usize) {
        // The result of a poll is there when the next one begins.
        let last = self.polls.load(Relaxed) + further + 1;
        let polled = async {
            while self.polls.load(Relaxed) < last {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, polled).await.expect("not polled in time");
    }
}

async fn serve(listener: TcpListener, is_healthy: Arc<AtomicBool>, polls: Arc<AtomicUsize>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        // The probe before a registration sends nothing.
        let len = stream.read(&mut head).await.unwrap_or(0);
        polls.fetch_add(usize::from(len > 0), Relaxed);
        let status = match (head[..len].starts_with(b"GET /health "), is_healthy.load(Relaxed)) {
            (false, _) => "404 Not Found",
            (true, true) => "200 OK",
            (true, false) => "503 Service Unavailable",
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok();
    }
}

async fn registrar_of(world: &World, listener: &TcpListener, check: Check) -> Registered {
    let registered = start(world, web(listener).check(check));
    ready(&registered).await;
    until_shown(world, &["web-1 passing"]).await;
    registered
}

#[tokio::test]
async fn an_http_check_follows_the_answers_of_the_instance() {
    everywhere(async |world| {
        let listener = listener().await;
        let check = Check::http("/health", often());
        let registered = registrar_of(&world, &listener, check).await;
        let server = Server::start(listener);
        for (is_healthy, status) in [(false, "web-1 critical"), (true, "web-1 passing")] {
            server.set(is_healthy);
            until_shown(&world, &[status]).await;
        }
        assert_eq!(registered.state(), RegistrationState::Ready);
    })
    .await;
}

#[tokio::test]
async fn a_tcp_check_follows_the_listener() {
    everywhere(async |world| {
        let listener = listener().await;
        let at = listener.local_addr().unwrap();
        let _registered = registrar_of(&world, &listener, Check::tcp(often())).await;
        drop(listener);
        until_shown(&world, &["web-1 critical"]).await;
        let _listener = TcpListener::bind(at).await.unwrap();
        until_shown(&world, &["web-1 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn an_instance_without_a_check_is_found() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener).check(Check::None));
        ready(&registered).await;
        let entries = world.direct.health(&"web".into(), None).await.unwrap().body;
        let own = |check: &&consul_wire::check::HealthCheck| check.service_id == "web-1";
        assert_eq!(entries[0].checks.iter().find(own), None);
        registered.leave().await;
        until_shown(&world, &[]).await;
    })
    .await;
}

#[tokio::test]
async fn without_heartbeats_a_lost_registration_is_restored() {
    for check in [Check::tcp(often()), Check::None] {
        everywhere(async |mut world| {
            let listener = listener().await;
            let registered = start(&world, web(&listener).check(check.clone()));
            ready(&registered).await;
            world.lose_everything().await;
            let found = async {
                while !shown(&world).await.iter().any(|it| it.starts_with("web-1 ")) {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            timeout(SOON, found).await.expect("not registered again");
            assert!(registered.is_ready());
        })
        .await;
    }
}

#[tokio::test]
async fn an_alias_follows_the_other_instance() {
    everywhere(async |world| {
        let listener = listener().await;
        world.register("db", 5432).await;
        let mut registered = start(&world, web(&listener).check(Check::alias("db-5432")));
        if matches!(world.engine, Engine::Embedded(_)) {
            return unsupported(&mut registered).await;
        }
        ready(&registered).await;
        for (report, status) in [("fail", "web-1 critical"), ("pass", "web-1 passing")] {
            world.report(report, "db", 5432).await;
            until_shown(&world, &[status]).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_alias_of_a_node_follows_the_node() {
    everywhere(async |world| {
        let listener = listener().await;
        let other = start(&world, web(&listener).id("web-0"));
        ready(&other).await;
        let node = other.lifecycle().node().unwrap().to_owned();
        let mut registered = start(&world, web(&listener).check(Check::alias_node(node)));
        if matches!(world.engine, Engine::Embedded(_)) {
            return unsupported(&mut registered).await;
        }
        ready(&registered).await;
        until_shown(&world, &["web-0 passing", "web-1 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_grpc_check_of_a_server_without_grpc_is_critical() {
    everywhere(async |world| {
        let listener = listener().await;
        let check = Check::grpc("pkg.Web", often());
        let mut registered = start(&world, web(&listener).check(check));
        if matches!(world.engine, Engine::Embedded(_)) {
            return unsupported(&mut registered).await;
        }
        ready(&registered).await;
        until_shown(&world, &["web-1 critical"]).await;
    })
    .await;
}

/// The embedded agent has TTL, HTTP and TCP checks.
async fn unsupported(registered: &mut Registered) {
    reaches(registered, RegistrationState::Refused).await;
    let refusal = registered.refusal().unwrap().to_string();
    assert!(refusal.contains("this agent runs TTL, HTTP and TCP checks"), "{refusal}");
}

#[tokio::test]
async fn a_silent_agent_keeps_a_registration_without_heartbeats() {
    let world = World::embedded().await;
    let listener = listener().await;
    let registered = registrar_of(&world, &listener, Check::tcp(often())).await;
    world.http.set(Mode::Hang).await.unwrap();
    sleep(super::HEARTBEAT_INTERVAL).await;
    assert_eq!(registered.state(), RegistrationState::Ready);
    world.http.set(Mode::Pass).await.unwrap();
    registered.leave().await;
    until_shown(&world, &[]).await;
}
