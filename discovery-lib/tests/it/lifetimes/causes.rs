//! A call before the first answer about its instances fails with the reason.

use discovery::{Discovery, Settings, Source, agent::AgentSettings};
use std::{error::Error as _, net::SocketAddr};
use testkit::ports;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Answers every request with these bytes.
async fn answers(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
                    stream.write_all(bytes).await.ok();
                }
            });
        }
    });
    at
}

/// A DNS server that answers every query over TCP with SERVFAIL.
async fn servfail() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut message = vec![0; length.into()];
                    if stream.read_exact(&mut message).await.is_err() {
                        return;
                    }
                    // QR, and the response code 2.
                    message[2] |= 0x80;
                    message[3] = 2;
                    stream.write_u16(length).await.ok();
                    stream.write_all(&message).await.ok();
                }
            });
        }
    });
    at
}

#[tokio::test]
async fn a_call_without_known_instances_fails_with_the_reason() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap();
    let unused = ports::unused().unwrap();
    let denied = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 17\r\n\r\nPermission denied";
    let broken =
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 17\r\n\r\nNo cluster leader";
    for (source, at, words) in [
        (Source::Catalog, unused, vec!["no agent can be reached at ADDRESS", "Connection refused"]),
        (
            Source::Catalog,
            answers(denied).await,
            vec!["the agent at ADDRESS answered 403: Permission denied"],
        ),
        (
            Source::Catalog,
            answers(broken).await,
            vec!["the agent at ADDRESS answered 500: No cluster leader"],
        ),
        (
            Source::Catalog,
            answers(b"220 mail ready\r\n").await,
            vec!["the answer from ADDRESS is not HTTP"],
        ),
        (Source::Catalog, silent, vec!["no answer yet from the agent at ADDRESS"]),
        (Source::Dns, unused, vec!["no DNS server can be reached at ADDRESS (TCP)", "refused"]),
        (
            Source::Dns,
            servfail().await,
            vec!["the DNS server at ADDRESS answered", "Server Failure"],
        ),
        (Source::Dns, silent, vec!["no answer yet from the DNS server at ADDRESS"]),
    ] {
        let settings = Settings::new(AgentSettings::new(at)).dns(at).source(source.clone());
        let discovery = Discovery::new(settings).unwrap();
        let error = discovery.client().get("http://web/").await.unwrap_err();
        assert!(error.is_no_instance(), "{error}");
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(err) = cause {
            text = format!("{text}: {err}");
            cause = err.source();
        }
        let starts = "no call to web: its instances are not known after 1 s: ";
        assert!(text.starts_with(starts), "{source} at {at}: {text}");
        for word in words {
            let word = word.replace("ADDRESS", &at.to_string());
            assert!(text.contains(&word), "{source}: {text}, without {word:?}");
        }
        let connecting = discovery.pool("web").connect().await.unwrap_err();
        assert!(connecting.source().is_some(), "{connecting}");
    }
}
