//! A TCP server that sends back what it receives, and its client.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_util::task::AbortOnDropHandle;

/// A server on 127.0.0.1. Dropping it closes its port; its connections end with their clients.
#[derive(Debug)]
pub struct EchoServer {
    address: SocketAddr,
    _accepting: AbortOnDropHandle<()>,
}

impl EchoServer {
    /// # Errors
    ///
    /// The system refuses a listener.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reading, mut writing) = stream.split();
                    tokio::io::copy(&mut reading, &mut writing).await.ok();
                });
            }
        });
        Ok(Self { address, _accepting: AbortOnDropHandle::new(accepting) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Sends these bytes, and reads as many back.
///
/// # Errors
///
/// The connection ended, or other bytes came back.
pub async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).await?;
    if back == bytes { Ok(()) } else { Err(io::Error::other("other bytes came back")) }
}

#[cfg(test)]
mod tests {
    use tokio::{io::duplex, net::TcpStream};

    use super::*;

    #[tokio::test]
    async fn each_connection_gets_its_bytes_back() {
        let server = EchoServer::start().await.unwrap();
        let mut first = TcpStream::connect(server.address()).await.unwrap();
        let mut second = TcpStream::connect(server.address()).await.unwrap();
        for bytes in [&b"hello"[..], &[7; 1000]] {
            echo(&mut first, bytes).await.unwrap();
            echo(&mut second, bytes).await.unwrap();
        }
    }

    #[tokio::test]
    async fn other_bytes_and_an_end_are_errors() {
        for answer in [&b"other"[..], b"hel"] {
            let (client, mut server) = duplex(64);
            server.write_all(answer).await.unwrap();
            server.shutdown().await.unwrap();
            echo(client, b"hello").await.unwrap_err();
        }
    }
}
