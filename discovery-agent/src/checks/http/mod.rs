//! HTTP checks: 2xx is passing, 429 is warning, everything else is critical. The head of the answer decides; the part of its body that arrives in time is the output.

mod hop;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use consul_wire::check::CheckStatus;
use http::{Response, StatusCode, header::LOCATION};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1, ext::ReasonPhrase};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use self::hop::{Hop, shown};
use super::CheckResult;
use crate::state::HttpCheck;

/// The maximum number of requests of a check, all but the first for redirects. Go's limit.
const REQUESTS_MAX: usize = 10;
/// The maximum number of headers of an answer.
const HEADERS_MAX: usize = 512;
/// The maximum length of the head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 1024 * 1024;
/// The maximum length of the body that is read, in bytes. Its end is shown.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) async fn run(check: &HttpCheck) -> CheckResult {
    let deadline = Instant::now() + check.timeout;
    match timeout_at(deadline, fetch(check)).await {
        Ok(Ok((answer, _connection))) => judge(check, answer, deadline).await,
        Ok(Err(err)) => critical(check, &err),
        Err(_) => critical(check, &format!("no answer within {:?}", check.timeout)),
    }
}

fn critical(check: &HttpCheck, why: &str) -> CheckResult {
    (CheckStatus::Critical, format!("{} {:?}: {why}", check.method, shown(&check.url)))
}

/// The answer to the last request.
async fn fetch(check: &HttpCheck) -> Result<(Response<Incoming>, Connection), String> {
    let mut hop = Hop::first(check)?;
    for _ in 0..REQUESTS_MAX {
        let (answer, connection) = send(&hop).await?;
        match hop.next(answer.status(), answer.headers().get(LOCATION))? {
            Some(next) => hop = next,
            None => return Ok((answer, connection)),
        }
    }
    Err(format!("stopped after {REQUESTS_MAX} redirects"))
}

/// The task of a connection. Dropping it aborts the task.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn send(hop: &Hop) -> Result<(Response<Incoming>, Connection), String> {
    let request = hop.request()?;
    let (host, port) = hop.address()?;
    let stream = TcpStream::connect((host.as_str(), port))
        .await
        .map_err(|err| format!("dial tcp {host}:{port}: {err}"))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|err| err.to_string())?;
    let driver = tokio::spawn(async move {
        if let Err(err) = connection.await {
            tracing::debug!(error = %err, "check connection error");
        }
    });
    let connection = Connection(driver);
    let answer = sender.send_request(request).await;
    Ok((answer.map_err(|err| err.to_string())?, connection))
}

async fn judge(check: &HttpCheck, answer: Response<Incoming>, deadline: Instant) -> CheckResult {
    let code = answer.status();
    let status = match code {
        StatusCode::TOO_MANY_REQUESTS => CheckStatus::Warning,
        code if code.is_success() => CheckStatus::Passing,
        _ => CheckStatus::Critical,
    };
    let status_line = status_line(&answer);
    let mut output = Tail { bytes: Vec::new(), bytes_max: check.output_bytes_max };
    if timeout_at(deadline, output.read(answer.into_body())).await.is_err() {
        tracing::debug!(
            url = shown(&check.url),
            "the body of a check's answer was not received in time"
        );
    }
    let (method, url) = (&check.method, shown(&check.url));
    (status, format!("HTTP {method} {url}: {status_line} Output: {}", output.text()))
}

/// The status with the reason phrase of the server: `200 OK`.
fn status_line(answer: &Response<Incoming>) -> String {
    let code = answer.status();
    let phrase = answer.extensions().get::<ReasonPhrase>();
    let reason = match phrase {
        Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()),
        None => code.canonical_reason().unwrap_or_default().into(),
    };
    format!("{} {reason}", code.as_str()).trim_end().to_owned()
}

/// The end of a body: the last output of a program is the most useful.
struct Tail {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Tail {
    /// Reads to the end of the body, or to the limit. When dropped earlier, the bytes read so far are kept.
    async fn read(&mut self, mut body: Incoming) {
        let mut left = BODY_BYTES_MAX;
        while left > 0 {
            let Some(Ok(frame)) = body.frame().await else { return };
            if let Some(data) = frame.data_ref() {
                left = left.saturating_sub(data.len());
                self.bytes.extend_from_slice(data);
                self.bytes.drain(..self.bytes.len().saturating_sub(self.bytes_max));
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
