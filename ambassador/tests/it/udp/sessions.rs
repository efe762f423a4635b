//! The datagrams of each client, and their answers.

use std::net::{IpAddr, SocketAddr};

use tokio::{net::UdpSocket, task::JoinSet};

use super::world::{
    Echo, LARGEST, ambassador, answer, client, exchange, fixed, fixed_text, local_client,
};

#[tokio::test]
async fn an_answer_comes_from_the_address_that_was_asked() {
    let echo = Echo::start("a").await;
    for (listen, local, asked) in [
        ("udp:0", "127.0.0.1:0", "127.0.0.1"),
        ("udp:0", "127.0.0.1:0", "127.0.0.7"),
        ("udp:0", "[::1]:0", "::1"),
        ("udp:0.0.0.0:0", "127.0.0.1:0", "127.0.0.7"),
        ("udp:127.0.0.3:0", "127.0.0.1:0", "127.0.0.3"),
        ("udp:[::1]:0", "[::1]:0", "::1"),
    ] {
        let (_ambassador, port) = ambassador(listen, fixed(&[echo.at])).await;
        let asked = SocketAddr::new(asked.parse::<IpAddr>().unwrap(), port);
        let client = client(local, asked).await;
        assert_eq!(exchange(&client, b"x").await, b"a x", "{listen} asked at {asked}");
    }
}

#[tokio::test]
async fn a_client_that_asks_two_addresses_gets_each_answer_from_its_own() {
    let echo = Echo::start("a").await;
    let (_ambassador, port) = ambassador("udp:0", fixed(&[echo.at])).await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for asked in ["127.0.0.1", "127.0.0.2", "127.0.0.1"] {
        let asked = SocketAddr::new(asked.parse().unwrap(), port);
        client.send_to(asked.to_string().as_bytes(), asked).await.unwrap();
        let mut answer = [0; 64];
        let (length, from) = client.recv_from(&mut answer).await.unwrap();
        assert_eq!((&answer[..length], from), (format!("a {asked}").as_bytes(), asked));
    }
}

#[tokio::test]
async fn clients_are_kept_apart_and_stay_with_their_instance() {
    let echoes = [Echo::start("a").await, Echo::start("b").await, Echo::start("c").await];
    let (_ambassador, port) = ambassador("udp:0", fixed(&echoes.each_ref().map(|it| it.at))).await;
    let mut clients = JoinSet::new();
    for number in 0..300 {
        clients.spawn(async move {
            let client = local_client(port).await;
            let first = exchange(&client, format!("{number} hello").as_bytes()).await;
            let name = first[0];
            for turn in 0..10 {
                let datagram = format!("{number} {turn}");
                let answer = exchange(&client, datagram.as_bytes()).await;
                assert_eq!(
                    String::from_utf8_lossy(&answer),
                    format!("{} {datagram}", char::from(name))
                );
            }
            name
        });
    }
    let mut names = clients.join_all().await;
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, b"abc", "the clients are spread over all instances");
}

#[tokio::test]
async fn datagrams_of_all_sizes_pass_both_ways() {
    let echo = Echo::start("a").await;
    let (_ambassador, port) = ambassador("udp:127.0.0.1:0", fixed(&[echo.at])).await;
    let client = local_client(port).await;
    for size in [0, 1, 512, 1472, 1473, 9000, LARGEST - 2] {
        let datagram: Vec<u8> = (0..size).map(|at| at.to_le_bytes()[0]).collect();
        let expected = [b"a ", &datagram[..]].concat();
        assert!(exchange(&client, &datagram).await == expected, "{size} bytes");
    }
}

#[tokio::test]
async fn the_largest_datagram_passes_both_ways() {
    let instance = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (_ambassador, port) = ambassador("udp:0", fixed(&[instance.local_addr().unwrap()])).await;
    let client = local_client(port).await;
    let largest = vec![7; LARGEST];
    client.send(&largest).await.unwrap();
    let mut datagram = vec![0; LARGEST + 1];
    let (length, from) = instance.recv_from(&mut datagram).await.unwrap();
    assert!(datagram[..length] == largest);
    instance.send_to(&largest, from).await.unwrap();
    assert!(answer(&client).await == largest);
}

#[tokio::test]
async fn an_instance_may_never_answer_or_send_more_than_it_was_asked() {
    let instance = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (_ambassador, port) = ambassador("udp:0", fixed(&[instance.local_addr().unwrap()])).await;
    let client = local_client(port).await;
    let mut datagram = [0; 16];
    let mut senders = Vec::new();
    for number in 0..20_u8 {
        client.send(&[number]).await.unwrap();
        let (length, from) = instance.recv_from(&mut datagram).await.unwrap();
        assert_eq!(&datagram[..length], [number]);
        senders.push(from);
    }
    senders.dedup();
    assert_eq!(senders.len(), 1, "one session");
    for number in 0..20_u8 {
        instance.send_to(&[number], senders[0]).await.unwrap();
        assert_eq!(answer(&client).await, [number]);
    }
}

#[tokio::test]
async fn an_instance_may_have_a_host_name() {
    let echo = Echo::start("a").await;
    let list = format!("localhost:{}", echo.at.port());
    let (_ambassador, port) = ambassador("udp:0", fixed_text(&list)).await;
    let client = local_client(port).await;
    assert_eq!(exchange(&client, b"first").await, b"a first");
    assert_eq!(exchange(&client, b"second").await, b"a second");
}
