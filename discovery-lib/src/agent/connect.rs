//! Connections to the agent: TCP or a unix socket, with or without TLS.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpStream, UnixStream},
    time::{Instant, timeout, timeout_at},
};
use tower_service::Service;

use super::{Address, Tls, exchange::Failure, stream::Stream, tls::Secure};
use crate::{Error, Host, keepalive::keep_alive, names::Names};

/// The time to connect, with the handshake of TLS; without a connection, the agent is not reachable. It is on this machine or near it.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Why there is no connection.
#[derive(Debug, Clone)]
pub(super) enum ConnectError {
    /// The settings can't be used.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS reads files"))]
    Setting(Error),
    /// The agent can't be reached.
    Unreachable(String),
    /// There is no TLS with it: the reason and the remedy.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "there is no TLS"))]
    NoTls(String),
}

/// Opens connections to one agent, whatever the URL. Clones share look-ups and certificates.
#[derive(Debug, Clone)]
pub(super) struct Connector(Arc<Dialer>);

#[derive(Debug)]
struct Dialer {
    address: Address,
    names: Names,
    /// None: without TLS.
    secure: Option<Secure>,
}

impl Connector {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The settings can't be used.
    pub(super) fn new(address: &Address, tls: &Tls) -> Result<Self, Error> {
        let secure = Secure::of(address, tls)?;
        let address = address.clone();
        Ok(Self(Arc::new(Dialer { address, names: Names::default(), secure })))
    }

    /// Why an exchange failed, if TLS is the reason.
    pub(super) fn refusal(&self, err: &(dyn std::error::Error + 'static)) -> Option<String> {
        self.0.secure.as_ref()?.refusal(err)
    }
}

impl Dialer {
    async fn dial(&self) -> Result<Stream, ConnectError> {
        let connected = timeout(CONNECT_WITHIN, async {
            match &self.address {
                Address::Unix(path) => unix(path).await.map_err(Into::into),
                Address::Tcp { host, port, .. } => {
                    let stream = self.tcp(host, *port);
                    match &self.secure {
                        Some(secure) => secure.connect(stream).await,
                        None => Ok(Stream::new(stream.await?)),
                    }
                }
            }
        });
        connected.await.unwrap_or_else(|_| {
            let text = format!("no connection within {CONNECT_WITHIN:?}");
            Err(ConnectError::Unreachable(text))
        })
    }

    async fn tcp(&self, host: &Host, port: u16) -> io::Result<TcpStream> {
        let stream = match host {
            Host::Ip(ip) => TcpStream::connect((*ip, port)).await?,
            Host::Name(name) => {
                let found = self.names.find(name).await.map_err(io::Error::other)?;
                let at = |it: &SocketAddr| SocketAddr::new(it.ip(), port);
                first(&found.iter().map(at).collect::<Vec<_>>()).await?
            }
        };
        stream.set_nodelay(true)?;
        keep_alive(&stream)?;
        Ok(stream)
    }
}

/// A connection to the first address that accepts, each with an equal share of the time that is left.
async fn first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let deadline = Instant::now() + CONNECT_WITHIN;
    let mut why = io::Error::other("its name has no address");
    for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / u32::try_from(left).unwrap_or(1);
        why = match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(err)) => err,
            Err(_) => io::Error::new(io::ErrorKind::TimedOut, format!("{address} is silent")),
        };
    }
    Err(why)
}

async fn unix(path: &Path) -> io::Result<Stream> {
    UnixStream::connect(path).await.map(Stream::new)
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = Arc::clone(&self.0);
        Box::pin(async move { dialer.dial().await.map(TokioIo::new) })
    }
}

impl From<io::Error> for ConnectError {
    fn from(err: io::Error) -> Self {
        Self::Unreachable(err.to_string())
    }
}

impl From<ConnectError> for Failure {
    fn from(err: ConnectError) -> Self {
        match err {
            ConnectError::Setting(err) => Self::Setting(err),
            ConnectError::Unreachable(cause) => Self::Unreachable(cause),
            ConnectError::NoTls(reason) => Self::NoTls(reason),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(err) => err.fmt(f),
            Self::Unreachable(text) => f.write_str(text),
            Self::NoTls(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for ConnectError {}
