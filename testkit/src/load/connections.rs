//! The connections of the load: reused, or one per request.

use std::{
    error::Error,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// The maximum length of an answer's body, in bytes.
const BODY_MAX: usize = 16 << 20;

/// Which connection a request uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// An idle one, else a new one, which is reused afterwards.
    Kept,
    /// A new one per request.
    New,
}

#[derive(Debug)]
pub(super) struct Target {
    connections: Connections,
    host: String,
    port: u16,
    path: Uri,
    idle: Mutex<Vec<Connection>>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl Target {
    pub(super) fn new(url: &Uri, connections: Connections) -> io::Result<Self> {
        let (Some("http"), Some(host)) = (url.scheme_str(), url.host()) else {
            return Err(io::Error::other(format!("not http://host[:port][/path]: {url}")));
        };
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            connections,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port_u16().unwrap_or(80),
            path: path.parse().map_err(io::Error::other)?,
            idle: Mutex::new(Vec::new()),
        })
    }

    pub(super) async fn get(&self) -> Result<(StatusCode, Bytes), BoxError> {
        let mut request = self.request()?;
        // A reused connection that its server closed before anything was written is not counted as a try: no request was sent.
        while let Some(mut connection) = self.idle_one() {
            if connection.sender.ready().await.is_err() {
                continue;
            }
            match connection.sender.try_send_request(request).await {
                Ok(answer) => return self.finish(connection, answer).await,
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(failed.into_error().into()),
                },
            }
        }
        let mut connection = self.connect().await?;
        let answer = connection.sender.send_request(request).await?;
        self.finish(connection, answer).await
    }

    async fn connect(&self) -> Result<Connection, BoxError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // Its errors are also those of the request that it carries.
        let driver = tokio::spawn(async { drop(driver.await) });
        Ok(Connection { sender, _driver: AbortOnDropHandle::new(driver) })
    }

    async fn finish(
        &self,
        connection: Connection,
        answer: Response<Incoming>,
    ) -> Result<(StatusCode, Bytes), BoxError> {
        let status = answer.status();
        let body = Limited::new(answer.into_body(), BODY_MAX).collect().await?.to_bytes();
        if self.connections == Connections::Kept {
            self.idle().push(connection);
        }
        Ok((status, body))
    }

    fn request(&self) -> http::Result<Request<Empty<Bytes>>> {
        let host = if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        };
        let request = Request::get(self.path.clone()).header(header::HOST, host);
        match self.connections {
            Connections::Kept => request,
            Connections::New => request.header(header::CONNECTION, "close"),
        }
        .body(Empty::new())
    }

    /// The most recently used one, so that the pool does not grow beyond what the load needs.
    fn idle_one(&self) -> Option<Connection> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
