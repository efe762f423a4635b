//! Instances that refuse, leave or come, and the end of an ambassador.

use std::time::Duration;

use discovery_agent::Agent;
use tokio::{net::UdpSocket, time::timeout};

use super::world::{
    Echo, ambassador, answer, catalog, exchange, fixed, local_client, maintain, register,
    until_answered,
};

#[tokio::test]
async fn a_session_goes_to_another_instance_when_its_own_refuses() {
    let (a, b) = (Echo::start("a").await, Echo::start("b").await);
    let (_ambassador, port) = ambassador("udp:0", fixed(&[a.at, b.at])).await;
    let client = local_client(port).await;
    let first = exchange(&client, b"x").await;
    let (own, _other, moved) = if first == b"a x" { (a, b, b"b x") } else { (b, a, b"a x") };
    drop(own);
    until_answered(&client, b"x", moved).await;
    assert_eq!(exchange(&client, b"x").await, moved, "it stays there");
}

#[tokio::test]
async fn a_single_instance_that_comes_back_is_used_again() {
    let instance = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = instance.local_addr().unwrap();
    let (_ambassador, port) = ambassador("udp:0", fixed(&[at])).await;
    let client = local_client(port).await;
    client.send(b"x").await.unwrap();
    instance.readable().await.unwrap();
    drop(instance);
    for _ in 0..3 {
        client.send(b"lost").await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let instance = UdpSocket::bind(at).await.unwrap();
    let answering = tokio::spawn(async move {
        let mut datagram = [0; 16];
        loop {
            let (_, from) = instance.recv_from(&mut datagram).await.unwrap();
            instance.send_to(b"back", from).await.unwrap();
        }
    });
    until_answered(&client, b"x", b"back").await;
    answering.abort();
}

#[tokio::test]
async fn a_session_goes_to_another_instance_when_its_own_leaves() {
    let agent = Agent::start().await.unwrap();
    let (a, b) = (Echo::start("a").await, Echo::start("b").await);
    register(&agent, "a", a.at).await;
    register(&agent, "b", b.at).await;
    let (_ambassador, port) = ambassador("udp:0", catalog(&agent)).await;
    let client = local_client(port).await;
    let first = exchange(&client, b"x").await;
    let (own, moved) = if first == b"a x" { ("a", b"b x") } else { ("b", b"a x") };
    maintain(&agent, own).await;
    until_answered(&client, b"x", moved).await;
}

#[tokio::test]
async fn datagrams_without_an_instance_are_dropped_until_there_is_one() {
    let agent = Agent::start().await.unwrap();
    let (_ambassador, port) = ambassador("udp:0", catalog(&agent)).await;
    let client = local_client(port).await;
    client.send(b"lost").await.unwrap();
    let a = Echo::start("a").await;
    register(&agent, "a", a.at).await;
    until_answered(&client, b"x", b"a x").await;
}

#[tokio::test]
async fn a_missing_answer_is_relayed_while_the_ambassador_drains() {
    let instance = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (ambassador, port) = ambassador("udp:0", fixed(&[instance.local_addr().unwrap()])).await;
    let client = local_client(port).await;
    client.send(b"x").await.unwrap();
    let mut datagram = [0; 16];
    let (_, from) = instance.recv_from(&mut datagram).await.unwrap();
    let draining = tokio::spawn(ambassador.drain(Duration::from_secs(3600)));
    // Once it drains, datagrams of clients no longer arrive.
    let other = local_client(port).await;
    let second = Duration::from_secs(1);
    let next = async |datagram: &mut [u8]| {
        other.send(b"y").await.ok();
        timeout(second, instance.recv_from(datagram)).await.is_ok()
    };
    while next(&mut datagram).await {}
    instance.send_to(b"answer", from).await.unwrap();
    assert_eq!(answer(&client).await, b"answer");
    draining.await.unwrap();
}
