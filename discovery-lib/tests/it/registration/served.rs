//! The life of a server: what it is told, in which order, and how it ends.

use std::{future::pending, time::Duration};

use discovery::{
    Leaving, Signals,
    registration::{State, Trigger},
    signal,
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

/// How long it drains where nothing else is looked at meanwhile.
const DRAIN: Duration = Duration::from_millis(500);
/// Time enough to look while it drains, on a slow machine too.
const LONG_DRAIN: Duration = Duration::from_secs(6);

type Ending = Result<&'static str, discovery::Error>;

/// A whole life of a server, with something that happens meanwhile.
async fn live(
    world: &World,
    drain: Duration,
    server: impl AsyncFnOnce(TcpListener, Leaving) -> &'static str,
    meanwhile: impl AsyncFnOnce(Leaving, Trigger),
) -> Ending {
    let listener = listener().await;
    let registered = world.discovery.register(web(&listener)).unwrap();
    let (trigger, signals) = Signals::by_hand();
    let (leaving_tx, leaving_rx) = oneshot::channel();
    let life = registered.serve_until(signals, drain, |leaving: Leaving| {
        leaving_tx.send(leaving.clone()).unwrap();
        server(listener, leaving)
    });
    let meanwhile = async { meanwhile(leaving_rx.await.unwrap(), trigger).await };
    let both = async { tokio::join!(life, meanwhile).0 };
    timeout(SOON, both).await.expect("not ended in time")
}

/// Greets whoever connects, until it is drained.
async fn greet(listener: TcpListener, leaving: Leaving) -> &'static str {
    leaving.set_accepting();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A probe is gone before it is greeted.
                accepted.unwrap().0.write_all(b"hello").await.ok();
            }
            () = leaving.drained() => return "drained",
        }
    }
}

/// It accepts, and the agent does not answer.
async fn unheard(leaving: &Leaving) {
    while leaving.state() != State::Registering {
        sleep(Duration::from_millis(10)).await;
    }
    assert!(!leaving.is_ready());
}

async fn ready(leaving: &Leaving) {
    while !leaving.is_ready() {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_drain_of_any_length_ends_with_a_second_signal() {
    let world = World::embedded().await;
    let ending = live(&world, Duration::MAX, greet, async |leaving, trigger| {
        ready(&leaving).await;
        trigger.fire();
        leaving.begun().await;
        trigger.fire();
    });
    let error = ending.await.unwrap_err();
    assert_eq!(error.to_string(), "a second signal ended it at once");
}

#[tokio::test]
async fn a_signal_ends_it_in_order() {
    everywhere(async |world| {
        let ending = live(&world, LONG_DRAIN, greet, async |leaving, trigger| {
            ready(&leaving).await;
            assert!(!leaving.has_begun());
            trigger.fire();
            leaving.begun().await;
            assert!(!leaving.is_ready());
            until_shown(&world, &["web-1 maintenance"]).await;
            until_shown(&world, &[]).await;
            leaving.drained().await;
        });
        assert_eq!(ending.await.unwrap(), "drained");
    })
    .await;
}

#[tokio::test]
async fn it_is_deregistered_before_it_stops_accepting() {
    everywhere(async |world| {
        let server = async |listener: TcpListener, leaving: Leaving| {
            let at = listener.local_addr().unwrap();
            let callers = async {
                leaving.begun().await;
                until_shown(&world, &[]).await;
                let mut greeting = String::new();
                let mut caller = TcpStream::connect(at).await.unwrap();
                caller.read_to_string(&mut greeting).await.unwrap();
                greeting
            };
            let (ended, greeting) = tokio::join!(greet(listener, leaving.clone()), callers);
            assert_eq!(greeting, "hello");
            ended
        };
        let ending = live(&world, LONG_DRAIN, server, async |leaving, trigger| {
            ready(&leaving).await;
            trigger.fire();
        });
        assert_eq!(ending.await.unwrap(), "drained");
    })
    .await;
}

#[tokio::test]
async fn without_an_agent_it_serves_and_ends_as_well() {
    let world = World::embedded().await;
    world.http.set(Mode::Closed).await.unwrap();
    let ending = live(&world, DRAIN, greet, async |leaving, trigger| {
        unheard(&leaving).await;
        trigger.fire();
    });
    assert_eq!(ending.await.unwrap(), "drained");
}

#[tokio::test]
async fn an_agent_that_comes_later_is_told() {
    let world = World::embedded().await;
    world.http.set(Mode::Closed).await.unwrap();
    let ending = live(&world, Duration::ZERO, greet, async |leaving, trigger| {
        unheard(&leaving).await;
        world.http.set(Mode::Pass).await.unwrap();
        ready(&leaving).await;
        trigger.fire();
    });
    assert_eq!(ending.await.unwrap(), "drained");
    until_shown(&world, &[]).await;
}

#[tokio::test]
async fn a_frozen_agent_does_not_keep_it() {
    everywhere(async |world| {
        let ending = live(&world, DRAIN, greet, async |leaving, trigger| {
            ready(&leaving).await;
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
        let server = async |_listener, leaving: Leaving| {
            leaving.set_accepting();
            ready(&leaving).await;
            "out of disk"
        };
        let ending = live(&world, DRAIN, server, async |_leaving, _trigger| {});
        assert_eq!(ending.await.unwrap(), "out of disk");
        until_shown(&world, &[]).await;
    })
    .await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let world = World::embedded().await;
    let endless = async |_listener, leaving: Leaving| {
        leaving.set_accepting();
        pending().await
    };
    let ending = live(&world, Duration::MAX, endless, async |leaving, trigger| {
        ready(&leaving).await;
        trigger.fire();
        leaving.begun().await;
        trigger.fire();
    });
    assert_eq!(ending.await.unwrap_err().to_string(), "a second signal ended it at once");
}

#[tokio::test]
async fn the_signals_of_the_process_are_heard() {
    let mut signals = signal();
    for kind in [Signal::TERM, Signal::INT] {
        kill_process(getpid(), kind).unwrap();
        timeout(SOON, signals.next()).await.expect("not heard").unwrap();
    }
}
