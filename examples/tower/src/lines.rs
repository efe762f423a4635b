//! A balancer of tower over the instances of a service, in a protocol of lines: a request is one line, and so is its answer.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use discovery::{Instance, Pool, adapt::Endpoints};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};
use tower::{
    BoxError, Service,
    balance::p2c::Balance,
    load::{CompleteOnResponse, PendingRequestsDiscover},
};

/// From connecting to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer. What is longer is cut off.
const LINE_MAX: u64 = 1024;

/// A service of lines: each goes to the instance with fewer requests in flight, of two. While there is no instance, it is not ready.
pub fn balanced(pool: &Pool) -> impl Service<String, Response = String, Error = BoxError> + use<> {
    let endpoints = Endpoints::new(pool, |instance| Lines(Arc::clone(instance)));
    Balance::new(PendingRequestsDiscover::new(endpoints, CompleteOnResponse::default()))
}

/// One instance.
struct Lines(Arc<Instance>);

impl Service<String> for Lines {
    type Response = String;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<String>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, line: String) -> Self::Future {
        let instance = Arc::clone(&self.0);
        Box::pin(async move { timeout(TIMEOUT, exchange(&instance, line)).await? })
    }
}

async fn exchange(instance: &Instance, line: String) -> io::Result<String> {
    let mut stream = TcpStream::connect((instance.host.to_string(), instance.port)).await?;
    stream.write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = String::new();
    BufReader::new(stream.take(LINE_MAX)).read_line(&mut answer).await?;
    Ok(answer.trim_end().to_owned())
}
