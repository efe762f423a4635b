//! What is published: an address at which the instance listens, and that was looked at before.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use discovery::{Registered, registration::RegistrationState};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::{listener, ready, start, until_shown, web};
use crate::world::{World, everywhere};

/// Where the catalog says that `web-1` is.
async fn published(world: &World) -> String {
    let entries = world.direct.health(&"web".into(), None).await.unwrap().body;
    format!("{}:{}", entries[0].address(), entries[0].service.port)
}

#[tokio::test]
async fn it_is_published_where_it_listens() {
    for bound in ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
        everywhere(async |world| {
            let listener = TcpListener::bind(bound).await.unwrap();
            let registered = start(&world, web(&listener));
            ready(&registered).await;
            let to: SocketAddr = {
                let text = published(&world).await;
                let (host, port) = text.rsplit_once(':').unwrap();
                (host.parse::<IpAddr>().unwrap(), port.parse().unwrap()).into()
            };
            let connected = TcpStream::connect(to).await;
            assert!(connected.is_ok(), "bound to {bound}, published at {to}: {connected:?}");
            let local = listener.local_addr().unwrap();
            assert!(local.ip().is_unspecified() || to == local, "{to}, not {local}");
        })
        .await;
    }
}

/// By the time that another one is ready, one that began before it would have been as well.
async fn another_is_ready(world: &World) -> Registered {
    let other = listener().await;
    let registered = start(world, web(&other).id("web-2"));
    tokio::spawn(async move { while other.accept().await.is_ok() {} });
    ready(&registered).await;
    registered
}

#[tokio::test]
async fn an_address_at_which_nobody_listens_is_not_published() {
    everywhere(async |world| {
        let (listener, other) = (listener().await, listener().await);
        let told = other.local_addr().unwrap();
        drop(other);
        let registration = web(&listener).advertise(told.to_string().parse().unwrap());
        let registered = start(&world, registration);
        let _other = another_is_ready(&world).await;
        assert_eq!(registered.state(), RegistrationState::Probing);
        until_shown(&world, &["web-2 passing"]).await;
        let _late = TcpListener::bind(told).await.unwrap();
        ready(&registered).await;
        until_shown(&world, &["web-1 passing", "web-2 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn one_that_does_not_accept_yet_is_not_published() {
    everywhere(async |world| {
        // The kernel takes connections for it already.
        let listener = listener().await;
        let registered = world.discovery.register(web(&listener)).unwrap();
        let _other = another_is_ready(&world).await;
        assert_eq!(registered.state(), RegistrationState::Probing);
        until_shown(&world, &["web-2 passing"]).await;
        registered.set_accepting();
        ready(&registered).await;
    })
    .await;
}

#[tokio::test]
async fn a_probe_of_its_own_decides() {
    everywhere(async |world| {
        let listener = listener().await;
        let (asked, serves) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let (asked_tx, serves_rx) = (asked.clone(), serves.clone());
        // Nothing accepts, nothing says so, and the given address is not probed.
        let registration =
            web(&listener).advertise("127.0.0.1:9".parse().unwrap()).probe(move || {
                asked_tx.notify_one();
                let serves = serves_rx.load(Relaxed);
                async move { if serves { Ok(()) } else { Err("it warms up") } }
            });
        let registered = world.discovery.register(registration).unwrap();
        asked.notified().await;
        asked.notified().await;
        assert_eq!(registered.state(), RegistrationState::Probing);
        serves.store(true, Relaxed);
        ready(&registered).await;
        assert_eq!(published(&world).await, "127.0.0.1:9");
    })
    .await;
}

#[tokio::test]
async fn one_that_cannot_be_looked_at_from_here_is_published() {
    everywhere(async |world| {
        let listener = listener().await;
        // A name that has no address here may have one elsewhere.
        let registration = web(&listener).advertise("web.invalid:80".parse().unwrap());
        let registered = start(&world, registration);
        ready(&registered).await;
        assert_eq!(published(&world).await, "web.invalid:80");
    })
    .await;
}
