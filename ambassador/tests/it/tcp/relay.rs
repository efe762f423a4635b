//! Bytes both ways: order, ends, back-pressure, resets, families of addresses.

use std::time::Duration;

use ambassador::Config;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    time::timeout,
};

use super::world::{Echo, World, assert_reset, fixed, name, read_to_end, reset, route, soon};

/// Bytes of a long transfer: many times all buffers on its way.
const LONG: usize = 64 * 1024 * 1024;
const CHUNK: usize = 60_000;

/// A client's connection and the one that it became at the instance.
async fn pair() -> (World, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::fixed(&[listener.local_addr().unwrap()]).await;
    let (client, instance) = tokio::join!(world.connect(), soon(listener.accept()));
    (world, client, instance.unwrap().0)
}

/// Random bytes that repeat with a prime length, so that no position of a buffer has the same ones again.
struct Pattern(Vec<u8>);

impl Pattern {
    fn new(seed: u64) -> Self {
        let mut bytes = vec![0; 1_000_003];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        Self(bytes)
    }

    /// The bytes at this offset, at most so many.
    fn at(&self, offset: usize, length: usize) -> &[u8] {
        let start = offset % self.0.len();
        &self.0[start..self.0.len().min(start + length)]
    }
}

/// Sends the pattern in pieces of any length, and closes.
async fn send(mut to: impl AsyncWrite + Unpin, seed: u64) {
    let (pattern, mut sent) = (Pattern::new(seed), 0);
    while sent < LONG {
        let piece = pattern.at(sent, fastrand::usize(1..=CHUNK.min(LONG - sent)));
        to.write_all(piece).await.unwrap();
        sent += piece.len();
    }
    to.shutdown().await.unwrap();
}

/// Reads the pattern to its end.
async fn receive(mut from: impl AsyncRead + Unpin, seed: u64) {
    let (pattern, mut received, mut chunk) = (Pattern::new(seed), 0, vec![0; CHUNK]);
    loop {
        let length = from.read(&mut chunk).await.unwrap();
        if length == 0 {
            return assert_eq!(received, LONG);
        }
        let mut rest = &chunk[..length];
        while !rest.is_empty() {
            let expected = pattern.at(received, rest.len());
            assert!(rest.starts_with(expected), "other bytes within {length} from {received}");
            received += expected.len();
            rest = &rest[expected.len()..];
        }
    }
}

#[tokio::test]
async fn long_transfers_arrive_unchanged_in_both_directions_at_once() {
    let (_world, client, instance) = pair().await;
    let (client_reads, client_writes) = client.into_split();
    let (instance_reads, instance_writes) = instance.into_split();
    soon(async {
        tokio::join!(
            send(client_writes, 1),
            send(instance_writes, 2),
            receive(instance_reads, 1),
            receive(client_reads, 2)
        )
    })
    .await;
}

#[tokio::test]
async fn an_end_that_closed_its_sending_side_still_receives() {
    for client_first in [true, false] {
        let (_world, client, instance) = pair().await;
        let (mut first, mut second) =
            if client_first { (client, instance) } else { (instance, client) };
        first.write_all(b"last words").await.unwrap();
        first.shutdown().await.unwrap();
        let mut words = String::new();
        soon(second.read_to_string(&mut words)).await.unwrap();
        assert_eq!(words, "last words");
        for _ in 0..3 {
            second.write_all(b"answer").await.unwrap();
            let mut answer = [0; 6];
            soon(first.read_exact(&mut answer)).await.unwrap();
            assert_eq!(&answer, b"answer");
        }
        drop(second);
        assert_eq!(read_to_end(&mut first).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_reset_of_one_end_resets_the_other() {
    for by_client in [true, false] {
        let (_world, mut client, mut instance) = pair().await;
        // Both know that the connection is relayed.
        client.write_all(b"x").await.unwrap();
        soon(instance.read_u8()).await.unwrap();
        let (reset_by, mut other) = if by_client { (client, instance) } else { (instance, client) };
        reset(reset_by);
        assert_reset(read_to_end(&mut other).await);
    }
}

#[tokio::test]
async fn a_reader_that_stops_stops_its_writer() {
    /// Far more than the buffers of two connections hold.
    const MOST: usize = 256 * 1024 * 1024;
    for to_client in [true, false] {
        let (_world, client, instance) = pair().await;
        let (writer, mut reader) = if to_client { (instance, client) } else { (client, instance) };
        let (chunk, mut sent) = (vec![7; CHUNK], 0);
        // Without space for so long, the writer is blocked. A shorter time could only end this earlier.
        while let Ok(writable) = timeout(Duration::from_millis(500), writer.writable()).await {
            writable.unwrap();
            sent += writer.try_write(&chunk).unwrap_or(0);
            assert!(sent < MOST, "nothing stops the writer");
        }
        drop(writer);
        let mut received = 0;
        let mut buffer = vec![0; CHUNK];
        loop {
            match soon(reader.read(&mut buffer)).await.unwrap() {
                0 => break,
                length => received += length,
            }
        }
        assert_eq!(received, sent, "all that was sent arrives when the reader goes on");
    }
}

#[tokio::test]
async fn clients_come_by_ipv4_ipv6_and_unix_sockets() {
    let instance = Echo::start("a").await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("echo.sock");
    let unix = route(&format!("{}=echo", path.display()));
    let config = Config::new(vec![route("0=echo"), unix]).unwrap();
    let world = World::start(&config, fixed(&[instance.at])).await;
    for ip in ["127.0.0.1", "::1"] {
        let at = (ip, world.at.port());
        let mut client = soon(TcpStream::connect(at)).await.unwrap();
        assert_eq!(name(&mut client).await, b'a', "{ip}");
    }
    let mut client = UnixStream::connect(&path).await.unwrap();
    client.write_all(b"bc").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    soon(client.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(answer, "abc");
    drop(world);
    assert!(!path.exists(), "the path is removed");
}

#[tokio::test]
async fn a_thousand_idle_connections_work_when_they_are_used() {
    let instance = Echo::start("a").await;
    let world = World::fixed(&[instance.at]).await;
    let mut clients = Vec::new();
    for _ in 0..1000 {
        let mut client = world.connect().await;
        assert_eq!(name(&mut client).await, b'a');
        clients.push(client);
    }
    for client in clients.iter_mut().rev() {
        client.write_all(b"b").await.unwrap();
        assert_eq!(name(client).await, b'b');
    }
}
