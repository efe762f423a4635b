//! A server of hyper, whose answers wait for a gate.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, request::Parts};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{body::Frame, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};

/// What it received.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) head: Parts,
    pub(super) body: Bytes,
    pub(super) trailers: HeaderMap,
}

/// A server on 127.0.0.1 that answers with the body of the request and the trailer `x-sum`. Dropping it closes the listener.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

struct Seen {
    accepted: AtomicUsize,
    arrived: AtomicUsize,
    requests: Mutex<Vec<Received>>,
    /// A permit per answer.
    gate: Semaphore,
}

impl Server {
    /// One that answers at once.
    pub(super) async fn open() -> Self {
        Self::start(Semaphore::MAX_PERMITS, 200).await
    }

    /// One with this number of answers at first, and at most so many requests under way on a connection.
    pub(super) async fn start(answers: usize, streams_max: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen {
            accepted: AtomicUsize::new(0),
            arrived: AtomicUsize::new(0),
            requests: Mutex::default(),
            gate: Semaphore::new(answers),
        });
        let task = tokio::spawn(serve(listener, streams_max, Arc::clone(&seen)));
        Self { address, seen, task }
    }

    /// Connections accepted so far.
    pub(super) fn accepted(&self) -> usize {
        self.seen.accepted.load(Relaxed)
    }

    /// Requests whose head has arrived so far.
    pub(super) fn arrived(&self) -> usize {
        self.seen.arrived.load(Relaxed)
    }

    /// Allows this number of answers more.
    pub(super) fn answer(&self, answers: usize) {
        self.seen.gate.add_permits(answers);
    }

    /// Complete requests since the last time.
    pub(super) fn take_requests(&self) -> Vec<Received> {
        std::mem::take(&mut *self.seen.requests.lock().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, streams_max: u32, seen: Arc<Seen>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        seen.accepted.fetch_add(1, Relaxed);
        let seen = Arc::clone(&seen);
        let answer = service_fn(move |request| answer(request, Arc::clone(&seen)));
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.max_concurrent_streams(streams_max);
        connections.spawn(http.serve_connection(TokioIo::new(stream), answer));
    }
}

type Echo = BoxBody<Bytes, std::convert::Infallible>;

async fn answer(
    request: Request<hyper::body::Incoming>,
    seen: Arc<Seen>,
) -> Result<Response<Echo>, hyper::Error> {
    seen.arrived.fetch_add(1, Relaxed);
    seen.gate.acquire().await.unwrap().forget();
    let (head, body) = request.into_parts();
    let received = body.collect().await?;
    let trailers = received.trailers().cloned().unwrap_or_default();
    let body = received.to_bytes();
    seen.requests.lock().unwrap().push(Received { head, body: body.clone(), trailers });
    let mut sum = HeaderMap::new();
    sum.insert("x-sum", body.len().into());
    let frames = [Frame::data(body), Frame::trailers(sum)].map(Ok);
    Ok(Response::new(BodyExt::boxed(StreamBody::new(Frames(frames.into_iter())))))
}

/// Frames that are there.
struct Frames<I>(I);

impl<I: Iterator + Unpin> futures_core::Stream for Frames<I> {
    type Item = I::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<I::Item>> {
        std::task::Poll::Ready(self.0.next())
    }
}
