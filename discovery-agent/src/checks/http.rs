//! HTTP checks: 2xx passes, 429 warns, all else is critical. Redirects are followed, as Consul follows them.

use bytes::Bytes;
use consul_wire::check::CheckStatus;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{ACCEPT, CONNECTION, HOST, LOCATION, USER_AGENT},
    uri::PathAndQuery,
};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use super::Finding;
use crate::state::HttpCheck;

/// A chain of redirects longer than this is not followed to its end.
const REDIRECTS_MAX: usize = 10;

pub(super) async fn look(check: &HttpCheck) -> Finding {
    match timeout(check.timeout, fetch(check)).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(err)) => critical(check, &err),
        Err(_) => critical(check, &format!("no answer within {:?}", check.timeout)),
    }
}

fn critical(check: &HttpCheck, why: &str) -> Finding {
    (CheckStatus::Critical, format!("{} {:?}: {why}", check.method, check.url))
}

async fn fetch(check: &HttpCheck) -> Result<Finding, String> {
    let mut uri: Uri = check.url.parse().map_err(|err| format!("{err}"))?;
    for _ in 0..REDIRECTS_MAX {
        let (answer, _connection) = ask(check, &uri).await?;
        match redirect(&answer, &uri) {
            Some(next) => uri = next,
            None => return judge(check, answer).await,
        }
    }
    Err(format!("stopped after {REDIRECTS_MAX} redirects"))
}

/// A connection's task, which ends with this.
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn ask(check: &HttpCheck, uri: &Uri) -> Result<(Response<Incoming>, Connection), String> {
    if uri.scheme_str() != Some("http") {
        return Err(format!("unsupported protocol scheme {:?}", uri.scheme_str().unwrap_or("")));
    }
    let host = uri.host().ok_or("no host in the URL")?;
    let port = uri.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .await
        .map_err(|err| format!("dial tcp {host}:{port}: {err}"))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|err| err.to_string())?;
    let driver = tokio::spawn(async move {
        if let Err(err) = connection.await {
            tracing::debug!(%err, "the connection of a check ended in disorder");
        }
    });
    let connection = Connection(driver);
    let answer = sender.send_request(request(check, uri)?).await;
    Ok((answer.map_err(|err| err.to_string())?, connection))
}

fn request(check: &HttpCheck, uri: &Uri) -> Result<Request<Full<Bytes>>, String> {
    let method: Method = check.method.parse().map_err(|err| format!("{err}"))?;
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut request = Request::new(Full::new(Bytes::copy_from_slice(check.body.as_bytes())));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|err| format!("{err}"))?;
    let own = request.headers_mut();
    own.insert(USER_AGENT, HeaderValue::from_static("Consul Health Check"));
    own.insert(ACCEPT, HeaderValue::from_static("text/plain, text/*, */*"));
    own.insert(CONNECTION, HeaderValue::from_static("close"));
    let host = uri.authority().map_or("", |authority| authority.as_str());
    own.insert(HOST, HeaderValue::from_str(host).map_err(|err| err.to_string())?);
    for (name, values) in headers(check)? {
        own.remove(&name);
        for value in values {
            own.append(&name, value);
        }
    }
    Ok(request)
}

/// The check's own headers, which stand above those that every check sends.
fn headers(check: &HttpCheck) -> Result<Vec<(HeaderName, Vec<HeaderValue>)>, String> {
    let read = |(name, values): (&String, &Vec<String>)| {
        let values = values.iter().map(|value| HeaderValue::from_str(value));
        let values = values.collect::<Result<_, _>>().map_err(|err| err.to_string())?;
        Ok((name.parse().map_err(|err| format!("{err}"))?, values))
    };
    check.headers.iter().map(read).collect()
}

/// Where an answer sends on to, if it does.
fn redirect(answer: &Response<Incoming>, from: &Uri) -> Option<Uri> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = location(answer.headers())?;
    if location.scheme().is_some() {
        return Some(location);
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = location.path_and_query().cloned();
    Uri::from_parts(parts).ok()
}

fn location(headers: &HeaderMap) -> Option<Uri> {
    headers.get(LOCATION)?.to_str().ok()?.parse().ok()
}

async fn judge(check: &HttpCheck, answer: Response<Incoming>) -> Result<Finding, String> {
    let code = answer.status();
    let status = match code {
        StatusCode::TOO_MANY_REQUESTS => CheckStatus::Warning,
        code if code.is_success() => CheckStatus::Passing,
        _ => CheckStatus::Critical,
    };
    let said = tail(answer.into_body(), check.output_bytes_max).await?;
    let (method, url) = (&check.method, &check.url);
    Ok((status, format!("HTTP {method} {url}: {code} Output: {said}")))
}

/// The end of a body, of at most so many bytes: what a program says last says most.
async fn tail(mut body: Incoming, bytes_max: usize) -> Result<String, String> {
    let mut kept = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|err| err.to_string())?;
        if let Some(data) = frame.data_ref() {
            kept.extend_from_slice(data);
            kept.drain(..kept.len().saturating_sub(bytes_max));
        }
    }
    Ok(String::from_utf8_lossy(&kept).into_owned())
}
