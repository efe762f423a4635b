//! The end of an ambassador.

use std::time::Duration;

use ambassador::Changes;
use discovery::ShutdownSignal;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::world::{Echo, SOON, World, assert_reset, name, read_to_end, soon};

#[tokio::test]
async fn a_connection_may_finish_while_new_ones_are_refused() {
    let instance = Echo::start("a").await;
    let World { ambassador, at } = World::fixed(&[instance.at]).await;
    let mut client = super::world::connect(at).await;
    assert_eq!(name(&mut client).await, b'a');
    let (trigger, signals) = ShutdownSignal::manual();
    let serving = tokio::spawn(ambassador.serve_until(signals, SOON, None, Changes::default()));
    trigger.fire();
    soon(async { while TcpStream::connect(at).await.is_ok() {} }).await;
    client.write_all(b"b").await.unwrap();
    assert_eq!(name(&mut client).await, b'b');
    assert!(!serving.is_finished());
    drop(client);
    soon(serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn connections_are_reset_when_the_drain_is_over() {
    let instance = Echo::start("a").await;
    let World { ambassador, at } = World::fixed(&[instance.at]).await;
    let mut client = super::world::connect(at).await;
    assert_eq!(name(&mut client).await, b'a');
    soon(ambassador.drain(Duration::from_millis(10))).await;
    assert_reset(read_to_end(&mut client).await);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let instance = Echo::start("a").await;
    let World { ambassador, at } = World::fixed(&[instance.at]).await;
    let mut client = super::world::connect(at).await;
    assert_eq!(name(&mut client).await, b'a');
    let (trigger, signals) = ShutdownSignal::manual();
    trigger.fire();
    trigger.fire();
    let ended = soon(ambassador.serve_until(signals, SOON, None, Changes::default())).await;
    assert_eq!(ended.unwrap_err().to_string(), "a second signal ended it at once");
    assert_reset(read_to_end(&mut client).await);
}
