//! The life cycle of a server: start, readiness, and shutdown, in order.

use std::{future::pending, time::Duration};

use discovery::{
    Lifecycle, ShutdownSignal,
    registration::{RegistrationState, Trigger},
    shutdown_signal,
};
use rustix::process::{Signal, getpid, kill_process};
use testkit::proxy::Mode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{listener, until_shown, web};
use crate::world::{SOON, World, everywhere};

/// The drain time of tests that check nothing during the drain.
const DRAIN: Duration = Duration::from_millis(500);
/// A drain time that is long enough for checks during the drain, on a slow machine too.
const LONG_DRAIN: Duration = Duration::from_secs(6);

type Ending = Result<&'static str, discovery::Error>;

/// Runs a server from start to end, with `meanwhile` concurrently.
async fn serve(
    world: &World,
    drain: Duration,
    server: impl AsyncFnOnce(TcpListener, Lifecycle) -> &'static str,
    meanwhile: impl AsyncFnOnce(Lifecycle, Trigger),
) -> Ending {
    let listener = listener().await;
    let registered = world.discovery.register(web(&listener)).unwrap();
    let (trigger, signals) = ShutdownSignal::manual();
    let (lifecycle_tx, lifecycle_rx) = oneshot::channel();
    let life = registered.serve_until(signals, drain, |lifecycle: Lifecycle| {
        lifecycle_tx.send(lifecycle.clone()).unwrap();
        server(listener, lifecycle)
    });
    let meanwhile = async { meanwhile(lifecycle_rx.await.unwrap(), trigger).await };
    let both = async { tokio::join!(life, meanwhile).0 };
    timeout(SOON, both).await.expect("not ended in time")
}

/// Sends `hello` on every connection, until it is drained.
async fn greet(listener: TcpListener, lifecycle: Lifecycle) -> &'static str {
    lifecycle.set_accepting();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A probe closes its connection before.
                accepted.unwrap().0.write_all(b"hello").await.ok();
            }
            () = lifecycle.drained() => return "drained",
        }
    }
}

/// Waits while the server accepts and the agent does not answer.
async fn unheard(lifecycle: &Lifecycle) {
    while lifecycle.state() != RegistrationState::Registering {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!lifecycle.is_ready());
}

#[tokio::test]
async fn a_drain_of_any_length_ends_with_a_second_signal() {
    let world = World::embedded().await;
    let ending = serve(&world, Duration::MAX, greet, async |lifecycle, trigger| {
        lifecycle.ready().await.unwrap();
        trigger.fire();
        lifecycle.shutdown().await;
        trigger.fire();
    });
    let error = ending.await.unwrap_err();
    assert_eq!(error.to_string(), "a second signal ended it at once");
}

#[tokio::test]
async fn every_clone_of_the_lifecycle_sees_ready_and_the_end() {
    everywhere(async |world| {
        let listener = listener().await;
        let registered = world.discovery.register(web(&listener)).unwrap();
        let (trigger, signals) = ShutdownSignal::manual();
        let before = registered.lifecycle();
        let serving = registered.serve_until(signals, DRAIN, |given| greet(listener, given));
        let watching = async {
            let mut states = before.clone();
            before.ready().await.unwrap();
            assert!(before.is_ready() && before.state() == RegistrationState::Ready);
            trigger.fire();
            before.shutdown().await;
            assert!(before.is_shutting_down() && !before.is_ready());
            let mut last = None;
            while let Some(state) = states.changed().await {
                last = Some(state);
            }
            assert_eq!(last, Some(RegistrationState::Left));
            let err = before.ready().await.unwrap_err();
            assert_eq!(err.to_string(), "web-1 is no longer kept registered");
        };
        let both = async { tokio::join!(serving, watching).0 };
        assert_eq!(timeout(SOON, both).await.expect("not ended in time").unwrap(), "drained");
    })
    .await;
}

#[tokio::test]
async fn a_lifecycle_shows_that_its_registration_was_dropped() {
    let world = World::embedded().await;
    let listener = listener().await;
    let registered = world.discovery.register(web(&listener)).unwrap();
    let lifecycle = registered.lifecycle();
    drop(registered);
    timeout(SOON, lifecycle.shutdown()).await.expect("still waits for the shutdown");
    timeout(SOON, lifecycle.ready()).await.expect("still waits").unwrap_err();
    assert_eq!(lifecycle.state(), RegistrationState::Abandoned);
}

#[tokio::test]
async fn a_signal_shuts_it_down_in_order() {
    everywhere(async |world| {
        let ending = serve(&world, LONG_DRAIN, greet, async |lifecycle, trigger| {
            lifecycle.ready().await.unwrap();
            assert!(!lifecycle.is_shutting_down());
            trigger.fire();
            lifecycle.shutdown().await;
            assert!(!lifecycle.is_ready());
            until_shown(&world, &["web-1 maintenance"]).await;
            until_shown(&world, &[]).await;
            lifecycle.drained().await;
        });
        assert_eq!(ending.await.unwrap(), "drained");
    })
    .await;
}

#[tokio::test]
async fn it_is_deregistered_before_it_stops_accepting() {
    everywhere(async |world| {
        let server = async |listener: TcpListener, lifecycle: Lifecycle| {
            let at = listener.local_addr().unwrap();
            let callers = async {
                lifecycle.shutdown().await;
                until_shown(&world, &[]).await;
                let mut greeting = String::new();
                let mut caller = TcpStream::connect(at).await.unwrap();
                caller.read_to_string(&mut greeting).await.unwrap();
                greeting
            };
            let (ended, greeting) = tokio::join!(greet(listener, lifecycle.clone()), callers);
            assert_eq!(greeting, "hello");
            ended
        };
        let ending = serve(&world, LONG_DRAIN, server, async |lifecycle, trigger| {
            lifecycle.ready().await.unwrap();
            trigger.fire();
        });
        assert_eq!(ending.await.unwrap(), "drained");
    })
    .await;
}

#[tokio::test]
async fn without_an_agent_it_serves_and_shuts_down() {
    let world = World::embedded().await;
    world.http.set(Mode::Closed).await.unwrap();
    let ending = serve(&world, DRAIN, greet, async |lifecycle, trigger| {
        unheard(&lifecycle).await;
        trigger.fire();
    });
    assert_eq!(ending.await.unwrap(), "drained");
}

#[tokio::test]
async fn it_registers_when_the_agent_starts_later() {
    let world = World::embedded().await;
    world.http.set(Mode::Closed).await.unwrap();
    let ending = serve(&world, Duration::ZERO, greet, async |lifecycle, trigger| {
        unheard(&lifecycle).await;
        world.http.set(Mode::Pass).await.unwrap();
        lifecycle.ready().await.unwrap();
        trigger.fire();
    });
    assert_eq!(ending.await.unwrap(), "drained");
    until_shown(&world, &[]).await;
}

#[tokio::test]
async fn a_frozen_agent_does_not_delay_the_end() {
    everywhere(async |world| {
        let ending = serve(&world, DRAIN, greet, async |lifecycle, trigger| {
            lifecycle.ready().await.unwrap();
            world.freeze();
            trigger.fire();
        });
        assert_eq!(ending.await.unwrap(), "drained");
        world.thaw();
    })
    .await;
}

#[tokio::test]
async fn a_server_that_ends_by_itself_is_deregistered() {
    everywhere(async |world| {
        let server = async |_listener, lifecycle: Lifecycle| {
            lifecycle.set_accepting();
            lifecycle.ready().await.unwrap();
            "out of disk"
        };
        let ending = serve(&world, DRAIN, server, async |_lifecycle, _trigger| {});
        assert_eq!(ending.await.unwrap(), "out of disk");
        until_shown(&world, &[]).await;
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let world = World::embedded().await;
    let endless = async |_listener, lifecycle: Lifecycle| {
        lifecycle.set_accepting();
        pending().await
    };
    let ending = serve(&world, Duration::MAX, endless, async |lifecycle, trigger| {
        lifecycle.ready().await.unwrap();
        trigger.fire();
        lifecycle.shutdown().await;
        trigger.fire();
    });
    assert_eq!(ending.await.unwrap_err().to_string(), "a second signal ended it at once");
}

#[tokio::test]
async fn signals_of_the_process_shut_it_down() {
    let mut signals = shutdown_signal();
    for kind in [Signal::TERM, Signal::INT] {
        kill_process(getpid(), kind).unwrap();
        timeout(SOON, signals.next()).await.expect("no signal").unwrap();
    }
}

#[tokio::test]
async fn a_server_that_ends_during_the_drain_is_deregistered_at_once() {
    everywhere(async |world| {
        let end = async |listener: TcpListener, lifecycle: Lifecycle| {
            lifecycle.set_accepting();
            lifecycle.shutdown().await;
            drop(listener);
            "ended"
        };
        let ending = serve(&world, Duration::MAX, end, async |lifecycle, trigger| {
            lifecycle.ready().await.unwrap();
            trigger.fire();
        });
        assert_eq!(ending.await.unwrap(), "ended");
        until_shown(&world, &[]).await;
    })
    .await;
}
