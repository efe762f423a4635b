//! hasher.

use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::World;

#[tokio::test]
async fn the_hash_of_a_body() {
    let world = World::new().await;
    let hasher = world.start("hasher", &[]).await;
    // From FIPS 180-2, and the one of nothing.
    for (body, hash) in [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ] {
        let answer = hasher.ask(Method::POST, "/", body).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, hash), "{body}");
    }
    assert!(hasher.get("/").await.text().starts_with("HASHER running on "));
    let elsewhere = hasher.ask(Method::POST, "/abc", "").await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.text()), (404, "no such path: /abc\n"));
    assert_eq!(hasher.stop().await.0, Some(0));
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_sent() {
    let world = World::new().await;
    let hasher = world.start("hasher", &[]).await;
    let mut stream = TcpStream::connect(hasher.at).await.unwrap();
    let head =
        format!("POST / HTTP/1.1\r\nhost: hasher\r\ncontent-length: {}\r\n\r\n", (1 << 20) + 1);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}
