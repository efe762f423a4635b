//! Requests that are sent slowly.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use discovery::{CallOptions, Client, Error, Pool, TryError};
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use super::client;

/// More than the socket buffers of a loopback connection hold.
const LENGTH: usize = 32 << 20;
const PIECE: usize = 64 << 10;

/// How a server reads a request body.
#[derive(Clone, Copy)]
enum Reading {
    /// This number of pieces with a pause before each, then the rest; then it answers.
    SlowlyAtFirst(usize, Duration),
    /// Only this number of pieces.
    Only(usize),
    /// Answers the head, and does not read the body.
    Nothing,
}

async fn server(reading: Reading) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(take(stream, reading));
        }
    });
    (address, task)
}

async fn take(mut stream: TcpStream, reading: Reading) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let mut piece = vec![0; PIECE];
    match reading {
        Reading::SlowlyAtFirst(pieces, pause) => {
            for nth in 0..LENGTH / PIECE {
                if nth < pieces {
                    sleep(pause).await;
                }
                stream.read_exact(&mut piece).await?;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await
        }
        Reading::Only(pieces) => {
            for _ in 0..pieces {
                stream.read_exact(&mut piece).await?;
            }
            std::future::pending().await
        }
        Reading::Nothing => {
            stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge").await?;
            std::future::pending().await
        }
    }
}

async fn upload(client: &Client) -> Result<(u16, String), Error> {
    let body = Bytes::from(vec![b'x'; LENGTH]);
    let answer = client.request(Request::post("http://service2/").body(body).unwrap()).await?;
    Ok((answer.status().as_u16(), answer.into_body().text(64).await?))
}

#[tokio::test]
async fn the_time_for_an_answer_begins_once_its_request_is_sent() {
    let pause = Duration::from_millis(20);
    let (address, server) = server(Reading::SlowlyAtFirst(100, pause)).await;
    let options = CallOptions::default().call_timeout(Duration::from_secs(60));
    assert!(100 * pause > options.try_timeout);
    let client = client(&Pool::fixed("service2", [address])).with_options(options).unwrap();
    assert_eq!(upload(&client).await.unwrap(), (200, "hello".into()));
    server.abort();
}

#[tokio::test]
async fn a_stalled_upload_fails() {
    let (address, server) = server(Reading::Only(10)).await;
    let (stall, long) = (Duration::from_millis(100), Duration::from_secs(60));
    let options = CallOptions::default().stall_timeout(stall).try_timeout(long).call_timeout(long);
    let client = client(&Pool::fixed("service2", [address])).with_options(options).unwrap();
    let error = upload(&client).await.unwrap_err();
    assert_eq!(error.tried()[0].why, TryError::Stalled(stall));
    assert!(error.is_timeout() && !error.is_retryable(), "{error}");
    assert!(error.to_string().contains("accepted no more of the request for 100 ms"), "{error}");
    server.abort();
}

#[tokio::test]
async fn an_upload_that_the_deadline_cuts_has_its_own_error() {
    let (slow, server) =
        server(Reading::SlowlyAtFirst(usize::MAX, Duration::from_millis(10))).await;
    let call = Duration::from_secs(2);
    let options = CallOptions::default().call_timeout(call);
    let client = client(&Pool::fixed("service2", [slow])).with_options(options).unwrap();
    let error = upload(&client).await.unwrap_err();
    assert_eq!(error.tried()[0].why, TryError::Unfinished(call));
    assert!(error.is_timeout(), "{error}");
    server.abort();
}

#[tokio::test]
async fn an_early_answer_ends_the_upload() {
    let (address, server) = server(Reading::Nothing).await;
    let client = client(&Pool::fixed("service2", [address]));
    for _ in 0..3 {
        assert_eq!(upload(&client).await.unwrap(), (413, "large".into()));
    }
    server.abort();
}
