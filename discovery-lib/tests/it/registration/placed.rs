//! The published address: one at which the instance listens, and that was connected to before.

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

/// The address of `web-1` in the catalog.
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

/// When another instance is ready, one that was started before it would be ready too.
async fn another_is_ready(world: &World) -> Registered {
    let other = listener().await;
    let registered = start(world, web(&other).id("web-2"));
    tokio::spawn(async move { while other.accept().await.is_ok() {} });
    ready(&registered).await;
    registered
}

#[tokio::test]
async fn an_address_without_a_listener_is_not_published() {
    everywhere(async |world| {
        let (listener, other) = (listener().await, listener().await);
        let advertised = other.local_addr().unwrap();
        drop(other);
        let registration = web(&listener).advertise(advertised.to_string().parse().unwrap());
        let registered = start(&world, registration);
        let _other = another_is_ready(&world).await;
        assert_eq!(registered.state(), RegistrationState::Probing);
        until_shown(&world, &["web-2 passing"]).await;
        let _late = TcpListener::bind(advertised).await.unwrap();
        ready(&registered).await;
        until_shown(&world, &["web-1 passing", "web-2 passing"]).await;
    })
    .await;
}

#[tokio::test]
async fn an_instance_that_does_not_accept_yet_is_not_published() {
    everywhere(async |world| {
        // The kernel already accepts connections for it.
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
async fn an_own_probe_replaces_the_connection() {
    everywhere(async |world| {
        let listener = listener().await;
        let (asked, serves) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let (asked_tx, serves_rx) = (asked.clone(), serves.clone());
        // The program does not signal that it accepts, and the advertised address is not connected to.
        let registration =
            web(&listener).advertise("127.0.0.1:9".parse().unwrap()).probe(move || {
                asked_tx.notify_one();
                let serves = serves_rx.load(Relaxed);
                async move { if serves { Ok(()) } else { Err("warming up") } }
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
async fn an_address_that_this_machine_cannot_resolve_is_published() {
    everywhere(async |world| {
        let listener = listener().await;
        // A name without an address on this machine may have one elsewhere.
        let registration = web(&listener).advertise("web.invalid:80".parse().unwrap());
        let registered = start(&world, registration);
        ready(&registered).await;
        assert_eq!(published(&world).await, "web.invalid:80");
    })
    .await;
}
