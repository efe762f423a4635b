//! An admin listener for a program that is no instance of a service.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response};
use tokio::net::TcpListener;

use super::{Request, accept, admin::CONNECTIONS_MAX, answer::Answers, routes::Routes};

/// A small HTTP server for operators and scrapers, of a program that is not registered: an ambassador, a wrapper. Its routes are its own; a
/// service has [`Server::admin`](super::Server::admin) instead.
///
/// ```no_run
/// use discovery::{Discovery, serve::{AdminServer, text}};
/// use http::StatusCode;
/// use tokio::net::TcpListener;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Discovery::from_env()?.pool("web");
/// let explain = move |_| {
///     let body = serde_json::to_string(&pool.explain()).unwrap_or_default();
///     async { text(StatusCode::OK, body) }
/// };
/// let listener = TcpListener::bind("127.0.0.1:9000").await?;
/// AdminServer::new().get("/explain", explain).run(listener, std::future::pending()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct AdminServer {
    routes: Routes,
}

impl AdminServer {
    /// A server without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler for GET, and HEAD with it, at exactly this path.
    #[must_use]
    pub fn get<H, A>(mut self, path: &str, handler: H) -> Self
    where
        H: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Bytes>> + Send + 'static,
    {
        self.routes.add(Method::GET, path, handler);
        self
    }

    /// Serves until `stopped`, then finishes what is in flight, for at most 10 s. At most 64 connections; other limits as
    /// [`Server::run`](super::Server::run).
    pub async fn run(self, listener: TcpListener, stopped: impl Future<Output = ()>) {
        let answers = Answers { routes: self.routes, statuses: Arc::default(), lifecycle: None };
        accept::serve(listener, answers, CONNECTIONS_MAX, stopped).await;
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
        sync::oneshot,
    };

    use super::*;
    use crate::serve::text;

    #[tokio::test]
    async fn it_answers_its_routes_until_it_is_stopped() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (stop_tx, stop_rx) = oneshot::channel::<()>();
        let server = AdminServer::new().get("/a", async |_| text(StatusCode::OK, "it\n"));
        let serving = tokio::spawn(server.run(listener, async { _ = stop_rx.await }));
        for (path, expected) in [("/a", "200 OK"), ("/b", "404 Not Found")] {
            let mut stream = TcpStream::connect(at).await.unwrap();
            let request = format!("GET {path} HTTP/1.0\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.0 {expected}\r\n")), "{answer}");
            assert!(!answer.to_lowercase().contains("discovery-instance"), "{answer}");
        }
        stop_tx.send(()).unwrap();
        serving.await.unwrap();
        TcpStream::connect(at).await.unwrap_err();
    }
}
