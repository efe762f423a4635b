//! Sends one HTTP/1.1 request on a new connection and returns the answer unchanged. It does not follow redirects, reuse connections, retry, or
//! decode.

use std::{io, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time};

/// The time limit for an answer: well above the `wait` of a few seconds that tests use.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The maximum length of a body, in bytes.
const BODY_MAX: usize = 16 << 20;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers, as sent.
    pub headers: HeaderMap,
    /// The body, as sent: still compressed if it was.
    pub body: Bytes,
}

impl Request {
    /// `target` is sent unchanged: a path with its query, percent-encoded by the caller.
    pub fn new(method: Method, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// A GET.
    pub fn get(target: impl Into<String>) -> Self {
        Self::new(Method::GET, target)
    }

    /// A PUT without a body.
    pub fn put(target: impl Into<String>) -> Self {
        Self::new(Method::PUT, target)
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a header. `Host` is the address of the server, unless it is set here.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sends the request. Dropping the future closes the connection.
    ///
    /// # Errors
    ///
    /// No connection, an answer that is not HTTP, no answer within 30 s, or a body of more than 16 MiB.
    pub async fn send(self, to: SocketAddr) -> io::Result<Answer> {
        let timed_out = |_| {
            io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no answer from {to} in {ANSWER_WITHIN:?}"),
            )
        };
        time::timeout(ANSWER_WITHIN, self.exchange(to)).await.map_err(timed_out)?
    }

    async fn exchange(self, to: SocketAddr) -> io::Result<Answer> {
        let stream = TcpStream::connect(to).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let mut request = http::Request::builder().method(self.method).uri(self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if !self.headers.contains_key(header::HOST) {
            request = request.header(header::HOST, to.to_string());
        }
        let request = request.body(Full::new(self.body)).map_err(io::Error::other)?;
        let answer = async {
            let (head, body) =
                sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
            let body = Limited::new(body, BODY_MAX).collect().await.map_err(io::Error::other)?;
            Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        // The connection is polled here rather than in a task, so that it ends with this future.
        tokio::pin!(connection, answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            _ = &mut connection => answer.await,
        }
    }
}

impl Answer {
    /// The body as text.
    ///
    /// # Panics
    ///
    /// It isn't UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => panic!("the body is not UTF-8: {error}"),
        }
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// It isn't JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => {
                panic!(
                    "{}: not JSON ({error}): {:?}",
                    self.status,
                    String::from_utf8_lossy(&self.body)
                )
            }
        }
    }

    /// A header's value, if there is one and it is ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
