//! Real sockets: addresses, sizes and batches.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

/// The largest payload over IPv4.
const LARGEST: usize = 65_507;

async fn bound(address: &str) -> Datagrams {
    Datagrams::new(UdpSocket::bind(address).await.unwrap()).unwrap()
}

async fn received(socket: &Datagrams, count: usize) -> Vec<(Vec<u8>, Ends)> {
    let (mut batch, mut all) = (Batch::new(), Vec::new());
    while all.len() < count {
        socket.receive(&mut batch).await.unwrap();
        all.extend(batch.iter().map(|(datagram, ends)| (datagram.to_vec(), ends)));
    }
    all
}

#[tokio::test]
async fn an_answer_comes_from_the_address_that_was_asked() {
    for (listen, client, asked) in [
        ("0.0.0.0:0", "127.0.0.1:0", "127.0.0.7"),
        ("0.0.0.0:0", "127.0.0.1:0", "127.0.0.1"),
        ("127.0.0.3:0", "127.0.0.1:0", "127.0.0.3"),
        ("[::]:0", "[::1]:0", "::1"),
        ("[::]:0", "127.0.0.1:0", "127.0.0.9"),
    ] {
        let server = bound(listen).await;
        let port = server.socket().local_addr().unwrap().port();
        let asked = SocketAddr::new(asked.parse().unwrap(), port);
        let client = UdpSocket::bind(client).await.unwrap();
        client.connect(asked).await.unwrap(); // drops datagrams from any other address
        client.send(b"question").await.unwrap();
        let (question, ends) = received(&server, 1).await.remove(0);
        assert_eq!(question, b"question");
        server.answer(b"answer", ends).await.unwrap();
        let mut answer = [0; 16];
        let length = client.recv(&mut answer).await.unwrap();
        assert_eq!(&answer[..length], b"answer", "{listen} asked at {asked}");
    }
}

#[tokio::test]
async fn datagrams_of_all_sizes_pass_both_ways() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let server = bound(listen).await;
        let port = server.socket().local_addr().unwrap().port();
        let (local, to): (&str, IpAddr) = if listen.starts_with('[') {
            ("[::1]:0", Ipv6Addr::LOCALHOST.into())
        } else {
            ("127.0.0.1:0", Ipv4Addr::LOCALHOST.into())
        };
        let client = UdpSocket::bind(local).await.unwrap();
        client.connect(SocketAddr::new(to, port)).await.unwrap();
        let mut answer = vec![0; LARGEST + 1];
        for size in [0, 1, 1472, 1473, 65_000, LARGEST] {
            let sent: Vec<u8> = (0..size).map(|at| at.to_le_bytes()[0]).collect();
            client.send(&sent).await.unwrap();
            let (question, ends) = received(&server, 1).await.remove(0);
            assert!(question == sent, "{listen}: {size} bytes to the server");
            server.answer(&question, ends).await.unwrap();
            let length = client.recv(&mut answer).await.unwrap();
            assert!(answer[..length] == sent, "{listen}: {size} bytes to the client");
        }
    }
}

#[tokio::test]
async fn a_batch_keeps_datagrams_apart() {
    let server = bound("127.0.0.1:0").await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(server.socket().local_addr().unwrap()).await.unwrap();
    let sent: Vec<Vec<u8>> = (0..20_u8).map(|number| vec![number; usize::from(number)]).collect();
    for datagram in &sent {
        client.send(datagram).await.unwrap();
    }
    let got: Vec<_> = received(&server, sent.len()).await.into_iter().map(|(it, _)| it).collect();
    assert_eq!(got, sent);
}
