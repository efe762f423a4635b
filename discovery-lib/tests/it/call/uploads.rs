//! Requests that take a while to be sent.

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

/// More than the buffers between two programs of one machine hold.
const LENGTH: usize = 32 << 20;
const PIECE: usize = 64 << 10;

/// How a server takes what it is sent.
#[derive(Clone, Copy)]
enum Taking {
    /// So many pieces with a pause before each, the rest at once; then it answers.
    SlowlyAtFirst(usize, Duration),
    /// So many pieces, and nothing more.
    Only(usize),
    /// Answers the head, and takes no body.
    Nothing,
}

async fn server(taking: Taking) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(take(stream, taking));
        }
    });
    (address, task)
}

async fn take(mut stream: TcpStream, taking: Taking) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let mut piece = vec![0; PIECE];
    match taking {
        Taking::SlowlyAtFirst(pieces, pause) => {
            for nth in 0..LENGTH / PIECE {
                if nth < pieces {
                    sleep(pause).await;
                }
                stream.read_exact(&mut piece).await?;
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await
        }
        Taking::Only(pieces) => {
            for _ in 0..pieces {
                stream.read_exact(&mut piece).await?;
            }
            std::future::pending().await
        }
        Taking::Nothing => {
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
async fn an_answer_is_due_only_once_its_request_is_sent() {
    let pause = Duration::from_millis(20);
    let (address, server) = server(Taking::SlowlyAtFirst(100, pause)).await;
    let options = CallOptions::default().call_timeout(Duration::from_secs(60));
    assert!(100 * pause > options.try_timeout);
    let client = client(&Pool::fixed("service2", [address])).with_options(options).unwrap();
    assert_eq!(upload(&client).await.unwrap(), (200, "hello".into()));
    server.abort();
}

#[tokio::test]
async fn an_instance_that_takes_no_more_of_a_request_is_given_up() {
    let (address, server) = server(Taking::Only(10)).await;
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
async fn an_upload_that_the_end_of_the_call_cuts_off_says_so() {
    let (slow, server) = server(Taking::SlowlyAtFirst(usize::MAX, Duration::from_millis(10))).await;
    let call = Duration::from_secs(2);
    let options = CallOptions::default().call_timeout(call);
    let client = client(&Pool::fixed("service2", [slow])).with_options(options).unwrap();
    let error = upload(&client).await.unwrap_err();
    assert_eq!(error.tried()[0].why, TryError::Unfinished(call));
    assert!(error.is_timeout(), "{error}");
    server.abort();
}

#[tokio::test]
async fn an_answer_that_comes_before_all_is_sent_is_the_answer() {
    let (address, server) = server(Taking::Nothing).await;
    let client = client(&Pool::fixed("service2", [address]));
    for _ in 0..3 {
        assert_eq!(upload(&client).await.unwrap(), (413, "large".into()));
    }
    server.abort();
}
