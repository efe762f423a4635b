//! Which instance a connection goes to, and what the instance receives.

use ambassador::ProxyProtocol;
use discovery::{Explained, Verdict};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

use super::world::{Echo, World, assert_reset, end_of_new, fixed, name, refusing, soon};

/// Connects from another address of the loopback network.
async fn connect_from(last: u8, world: &World) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    soon(socket.connect(world.at)).await.unwrap()
}

#[tokio::test]
async fn an_instance_that_refuses_is_passed_over() {
    let instance = Echo::start("a").await;
    let world = World::fixed(&[refusing(), instance.at, refusing()]).await;
    for _ in 0..50 {
        assert_eq!(name(&mut world.connect().await).await, b'a');
    }
}

#[tokio::test]
async fn without_an_instance_that_accepts_the_client_is_reset() {
    let world = World::fixed(&[refusing(), refusing()]).await;
    assert_reset(end_of_new(world.at).await);
}

#[tokio::test]
async fn an_instance_that_closes_at_once_without_a_byte_has_failed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (works, fails) = (Echo::start("a").await, listener.local_addr().unwrap());
    let _closing = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
        }
    }));
    let discovery = fixed(&[works.at, fails]);
    let pool = discovery.pool("echo");
    let world = World::with(discovery, |_| {}).await;
    let charged = || {
        let members = pool.explain().instances.into_iter();
        let latency = |it: &Explained| it.member.and_then(|member| member.latency);
        let slow = |it: &Explained| latency(it).is_some_and(|it| it >= Verdict::FAILURE_CHARGE);
        members.filter(slow).map(|it| it.instance.port).collect::<Vec<_>>()
    };
    soon(async {
        while charged().is_empty() {
            // A byte, or the end.
            world.connect().await.read_u8().await.ok();
        }
    })
    .await;
    assert_eq!(charged(), [fails.port()]);
}

#[tokio::test]
async fn a_sticky_client_gets_the_same_instance_while_that_works() {
    let instances = [Echo::start("a").await, Echo::start("b").await, Echo::start("c").await];
    let at = instances.each_ref().map(|it| it.at);
    let world = World::with(fixed(&at), |options| options.sticky = true).await;
    let mut names = Vec::new();
    for client in 1..=20 {
        let first = name(&mut connect_from(client, &world).await).await;
        for _ in 0..5 {
            assert_eq!(name(&mut connect_from(client, &world).await).await, first);
        }
        names.push(first);
    }
    let [a, b, c] = instances;
    assert!(names.contains(&b'a') && names.contains(&b'b') && names.contains(&b'c'), "{names:?}");
    a.leave().await;
    for (client, before) in (1..=20).zip(names) {
        let after = name(&mut connect_from(client, &world).await).await;
        assert!(before == b'a' || before == after, "only the clients of a move");
    }
    drop((b, c));
}

#[tokio::test]
async fn the_instance_is_told_the_address_of_the_client() {
    for (version, length) in [(ProxyProtocol::V1, None), (ProxyProtocol::V2, Some(28))] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let instances = fixed(&[listener.local_addr().unwrap()]);
        let world = World::with(instances, |options| options.proxy_protocol = Some(version)).await;
        let client = connect_from(7, &world).await;
        let (from, to) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let (mut instance, _) = soon(listener.accept()).await.unwrap();
        let (from_port, to_port) = (from.port(), to.port());
        let line = format!("PROXY TCP4 127.0.0.7 127.0.0.1 {from_port} {to_port}\r\n");
        let mut header = vec![0; length.unwrap_or(line.len())];
        soon(instance.read_exact(&mut header)).await.unwrap();
        match version {
            ProxyProtocol::V1 => assert_eq!(String::from_utf8_lossy(&header), line),
            ProxyProtocol::V2 => {
                let ports = [from_port.to_be_bytes(), to_port.to_be_bytes()].concat();
                let rest = [&[0x21, 0x11, 0, 12, 127, 0, 0, 7, 127, 0, 0, 1][..], &ports].concat();
                assert_eq!(header, [&b"\r\n\r\n\0\r\nQUIT\n"[..], &rest].concat());
            }
        }
    }
}
