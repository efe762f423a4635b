//! Limits on the number of connections and on their time.

use std::time::Duration;

use ambassador::{Config, Listen};
use discovery_agent::Agent;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::world::{
    Echo, World, assert_reset, catalog, deregister, end_of_new, fixed, left, maintain, name,
    read_to_end, register, route, soon,
};

#[tokio::test]
async fn a_connection_above_the_limit_of_its_route_is_reset() {
    let instance = Echo::start("a").await;
    let world = World::with(fixed(&[instance.at]), |options| options.connections_max = 2).await;
    let mut clients = [world.connect().await, world.connect().await];
    for client in &mut clients {
        assert_eq!(name(client).await, b'a');
    }
    assert_reset(end_of_new(world.at).await);
    let [mut first, _second] = clients;
    first.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut first).await.unwrap(), 0);
    assert_eq!(name(&mut accepted(&world).await).await, b'a', "there is a place again");
}

/// A connection that is not reset. The place of one that has ended is given back a moment later.
async fn accepted(world: &World) -> TcpStream {
    soon(async {
        loop {
            if let Ok(client) = TcpStream::connect(world.at).await
                && client.peek(&mut [0]).await.is_ok()
            {
                return client;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_connection_above_the_limit_of_all_routes_is_reset() {
    let instance = Echo::start("a").await;
    let routes = vec![route("127.0.0.1:0=echo"), route("127.0.0.1:0=other")];
    let mut config = Config::new(routes).unwrap();
    config.connections_max = 1;
    let world = World::start(&config, fixed(&[instance.at])).await;
    let mut client = world.connect().await;
    assert_eq!(name(&mut client).await, b'a');
    let Listen::Tcp(other) = world.ambassador.addresses()[1] else { panic!("not TCP") };
    assert_reset(end_of_new(other).await);
}

#[tokio::test]
async fn an_idle_connection_is_reset() {
    let instance = Echo::start("a").await;
    let idle = Duration::from_millis(100);
    let world = World::with(fixed(&[instance.at]), |it| it.idle_timeout = Some(idle)).await;
    let mut client = world.connect().await;
    assert_eq!(name(&mut client).await, b'a');
    assert_reset(read_to_end(&mut client).await);
}

#[tokio::test]
async fn a_connection_may_go_on_after_its_instance_left_for_the_time_to_linger() {
    for leave in [Leave::Maintenance, Leave::Deregistration] {
        for linger in [None, Some(Duration::from_millis(100))] {
            let agent = Agent::start().await.unwrap();
            let (old, new) = (Echo::start("a").await, Echo::start("b").await);
            register(&agent, "old", old.at).await;
            let discovery = catalog(&agent);
            let pool = discovery.pool("echo");
            let world = World::with(discovery, |options| options.linger = linger).await;
            let mut client = world.connect().await;
            assert_eq!(name(&mut client).await, b'a');
            register(&agent, "new", new.at).await;
            maintain(&agent, "old").await;
            left(&pool, old.at.port()).await;
            if leave == Leave::Deregistration {
                // Without maintenance before, it would stay in reserve.
                deregister(&agent, "old").await;
            }
            for _ in 0..10 {
                assert_eq!(name(&mut world.connect().await).await, b'b', "no new ones");
            }
            if linger.is_some() {
                assert_reset(read_to_end(&mut client).await);
            } else {
                client.write_all(b"c").await.unwrap();
                assert_eq!(name(&mut client).await, b'c');
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    Maintenance,
    Deregistration,
}
