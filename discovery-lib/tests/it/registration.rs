//! Registrations while their agent fails, restarts, or loses its data, and while their program shuts down.

mod checks;
mod placed;
mod refused;
mod reported;
mod served;
mod several;
mod swept;
mod unseen;
mod updated;

use std::time::Duration;

use discovery::{Registered, Registration, registration::RegistrationState};
use testkit::proxy::Mode;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::world::{SOON, World, everywhere};

/// Longer than the interval of heartbeats and a backoff.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(6);
/// The minimum total backoff of a registrar over ten failed requests.
const BACKOFF_TOTAL_MIN: Duration = Duration::from_millis(300);
/// Requests in flight have arrived after this time.
const IN_FLIGHT: Duration = Duration::from_millis(500);

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn web(listener: &TcpListener) -> Registration {
    Registration::new("web", listener.local_addr().unwrap()).id("web-1")
}

/// Registers an instance that accepts connections.
fn start(world: &World, registration: Registration) -> Registered {
    let registered = world.discovery.register(registration).unwrap();
    registered.set_accepting();
    registered
}

async fn ready(registered: &Registered) {
    timeout(SOON, registered.ready()).await.expect("not ready in time").unwrap();
}

async fn reaches(registered: &mut Registered, state: RegistrationState) {
    let reached = async {
        while registered.state() != state {
            registered.changed().await.expect("ended in another state");
        }
    };
    timeout(SOON, reached).await.expect("the state is not reached in time");
}

/// Waits until the catalog shows these instances of `web`, each with its id and the worst status of its checks.
async fn until_shown(world: &World, expected: &[&str]) {
    let shown_as_expected = async {
        while shown(world).await != expected {
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(SOON, shown_as_expected).await.is_err() {
        panic!("not {expected:?} in time, but {:?}", shown(world).await);
    }
}

/// The instances of `web`, read without the proxy, since most of these tests inject faults there.
async fn shown(world: &World) -> Vec<String> {
    let Ok(answer) = world.direct.health(&"web".into(), None).await else {
        return vec!["?".into()];
    };
    let show = |entry: consul_wire::service::ServiceEntry| {
        let out =
            entry.checks.iter().any(|check| check.check_id.starts_with("_service_maintenance"));
        let worst = entry.checks.iter().map(|check| check.status).max();
        let status = worst.map_or("unchecked", |status| status.as_str());
        format!("{} {}", entry.service.id, if out { "maintenance" } else { status })
    };
    answer.body.into_iter().map(show).collect()
}

#[tokio::test]
async fn a_ready_instance_is_in_the_catalog() {
    everywhere(async |world| {
        let listener = listener().await;
        let registration = web(&listener).tag("v1").meta("zone", "a");
        let registered = start(&world, registration);
        ready(&registered).await;
        assert!(registered.is_ready());
        assert_eq!(registered.state(), RegistrationState::Ready);
        let entries = world.direct.health(&"web".into(), None).await.unwrap().body;
        let service = &entries[0].service;
        assert_eq!((service.id.as_str(), service.address.as_str()), ("web-1", ""));
        assert_eq!(service.port, listener.local_addr().unwrap().port());
        assert_eq!((&*service.tags, &*service.meta["zone"]), (&["v1".to_owned()][..], "a"));
        until_shown(&world, &["web-1 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn an_instance_that_the_agent_lost_is_registered_again() {
    everywhere(async |mut world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener));
        ready(&registered).await;
        world.lose_everything().await;
        until_shown(&world, &["web-1 passing"]).await;
        assert!(registered.is_ready(), "a loss of data at the agent does not affect the instance");
    })
    .await;
}

#[tokio::test]
async fn an_instance_deregistered_by_others_is_registered_again() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener));
        ready(&registered).await;
        world.direct.deregister(registered.id()).await.unwrap();
        until_shown(&world, &["web-1 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn a_record_written_by_hand_is_not_another_run() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener).tag("ours"));
        ready(&registered).await;
        let by_hand = r#"{"ID":"web-1","Name":"web","Tags":["by hand"],"Port":1}"#;
        world.put("/v1/agent/service/register", by_hand).await;
        let ours = async {
            while tags(&world).await != ["ours"] {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, ours).await.expect("the record written by hand stays");
        ready(&registered).await;
        until_shown(&world, &["web-1 passing"]).await;
    })
    .await;
}

async fn tags(world: &World) -> Vec<String> {
    let entries = world.direct.health(&"web".into(), None).await.unwrap().body;
    entries[0].service.tags.clone()
}

#[tokio::test]
async fn a_critical_check_is_set_to_passing() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener));
        ready(&registered).await;
        world.put("/v1/agent/check/fail/service:web-1", "").await;
        until_shown(&world, &["web-1 critical"]).await;
        until_shown(&world, &["web-1 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn leaving_deregisters() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener));
        ready(&registered).await;
        registered.leave().await;
        until_shown(&world, &[]).await;
    })
    .await;
}

#[tokio::test]
async fn a_slow_old_run_does_not_deregister_its_successor() {
    everywhere(async |world| {
        let listener = listener().await;
        let old = start(&world, web(&listener));
        ready(&old).await;
        let new = start(&world, web(&listener));
        ready(&new).await;
        old.leave().await;
        assert_eq!(shown(&world).await, ["web-1 passing"]);
        assert!(new.is_ready());
    })
    .await;
}

#[tokio::test]
async fn an_old_run_sends_no_heartbeats_for_its_successor() {
    everywhere(async |world| {
        let listener = listener().await;
        let mut old = start(&world, web(&listener));
        ready(&old).await;
        let new = start(&world, web(&listener));
        ready(&new).await;
        reaches(&mut old, RegistrationState::Replaced).await;
        assert!(!old.is_ready());
        assert_eq!(old.changed().await, None, "nothing changes after the end");
        // The newer one crashes: no heartbeats from now on.
        drop(new);
        let before = world.http.requests();
        sleep(HEARTBEAT_INTERVAL).await;
        assert_eq!(world.http.requests(), before);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_registered_before_it_listens() {
    let world = World::embedded().await;
    let place = listener().await;
    let at = place.local_addr().unwrap();
    let registration = web(&place);
    drop(place);
    let registered = start(&world, registration);
    sleep(Duration::from_secs(1)).await;
    assert_eq!((registered.state(), world.http.requests()), (RegistrationState::Probing, 0));
    let _place = TcpListener::bind(at).await.unwrap();
    ready(&registered).await;
}

#[tokio::test]
async fn requests_to_a_failing_agent_have_a_backoff() {
    let mut cases = JoinSet::new();
    for mode in [Mode::Status(500), Mode::Garbage, Mode::Reset] {
        cases.spawn(async move {
            let world = World::embedded().await;
            world.http.set(mode).await.unwrap();
            let listener = listener().await;
            let began = Instant::now();
            let registered = start(&world, web(&listener));
            let requests = || world.http.accepted().max(world.http.requests());
            let ten_requests = async {
                while requests() < 10 {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(SOON, ten_requests).await.expect("no retries");
            // Pauses of at least 50 ms, doubled each time, with at most four requests between two of them. A slow machine only adds to that.
            assert!(began.elapsed() > BACKOFF_TOTAL_MIN, "{mode:?}: 10 in {:?}", began.elapsed());
            assert!(!registered.is_ready());
            world.http.set(Mode::Pass).await.unwrap();
            ready(&registered).await;
        });
    }
    while let Some(case) = cases.join_next().await {
        case.unwrap();
    }
}

#[tokio::test]
async fn an_agent_without_answers_does_not_change_the_state() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = start(&world, web(&listener));
        ready(&registered).await;
        world.http.set(Mode::Hang).await.unwrap();
        sleep(HEARTBEAT_INTERVAL).await;
        assert!(registered.is_ready());
        assert_eq!(registered.state(), RegistrationState::Ready);
        world.http.set(Mode::Pass).await.unwrap();
        registered.leave().await;
        until_shown(&world, &[]).await;
    })
    .await;
}

#[tokio::test]
async fn dropping_the_handle_ends_the_heartbeats() {
    let world = World::embedded().await;
    let listener = listener().await;
    let registered = start(&world, web(&listener));
    ready(&registered).await;
    drop(registered);
    sleep(IN_FLIGHT).await;
    let before = world.http.requests();
    sleep(HEARTBEAT_INTERVAL).await;
    assert_eq!(world.http.requests(), before);
}
