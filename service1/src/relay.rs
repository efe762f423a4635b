//! One request to service1: its own two lines, then those of the service that it calls.

use std::sync::Arc;

use bytes::Bytes;
use discovery::{
    Client, Error, headers,
    serve::{Request, text},
};
use http::{Response, StatusCode, response::Parts};
use program::chain;

/// The upstream's lines have about 50 bytes; a longer body is an error.
const LINES_MAX: usize = 64 * 1024;

/// Calls the upstream. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    client: Client,
    upstream: Arc<str>,
}

impl Relay {
    pub(crate) fn new(client: Client, upstream: &str) -> Self {
        Self { client, upstream: upstream.into() }
    }

    /// Four lines, or one line with the reason why the upstream failed.
    pub(crate) async fn answer(self, request: Request) -> Response<Bytes> {
        let (head, lines) = match self.ask().await {
            Ok(answer) => answer,
            Err((status, why)) => return text(status, why + "\n"),
        };
        let own = format!("Hello from {}\nto {}\n", request.remote, request.local);
        let mut response = text(StatusCode::OK, own + &lines);
        for hop in head.headers.get_all(headers::INSTANCE) {
            response.headers_mut().append(headers::INSTANCE, hop.clone());
        }
        response
    }

    /// The answer of the upstream.
    async fn ask(&self) -> Result<(Parts, String), (StatusCode, String)> {
        let failed = |err: Error| (status_of(&err), chain(&err));
        let url = format!("http://{}/", self.upstream);
        let (head, body) = self.client.get(&url).send().await.map_err(failed)?.into_parts();
        match head.status {
            StatusCode::OK => Ok((head, body.text(LINES_MAX).await.map_err(failed)?)),
            // All instances that were tried returned 503.
            StatusCode::SERVICE_UNAVAILABLE => Err((
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{} is not available", self.upstream),
            )),
            status => {
                Err((StatusCode::BAD_GATEWAY, format!("{} returned {status}", self.upstream)))
            }
        }
    }
}

/// The status to return for a failed call.
fn status_of(err: &Error) -> StatusCode {
    if err.is_no_instance() {
        StatusCode::SERVICE_UNAVAILABLE
    } else if err.is_timeout() {
        StatusCode::GATEWAY_TIMEOUT
    } else {
        StatusCode::BAD_GATEWAY
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use discovery::{CallOptions, Pool};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// An upstream that returns this for each request and then closes; with nothing, it never answers.
    async fn upstream(answer: &str) -> SocketAddr {
        let answer: Arc<str> = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                        if !answer.is_empty() {
                            return stream.write_all(answer.as_bytes()).await.ok();
                        }
                    }
                    None
                });
            }
        });
        at
    }

    /// The answer of service1 to 10.0.0.1:1000 with these upstreams.
    async fn answer(upstreams: Vec<SocketAddr>) -> (u16, String) {
        let all = Duration::from_millis(300);
        let client = Client::new(move |service| Pool::fixed(service, upstreams.clone()))
            .with_options(CallOptions::default().try_timeout(all / 2).call_timeout(all))
            .unwrap();
        let (head, ()) = http::Request::new(()).into_parts();
        let (remote, local) = ("10.0.0.1:1000".parse().unwrap(), "[::1]:8001".parse().unwrap());
        let request = Request::new(head, Bytes::new(), remote, local);
        let answer = Relay::new(client, "service2").answer(request).await;
        (answer.status().as_u16(), String::from_utf8(answer.body().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_status_depends_on_the_upstream() {
        const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\na\nb\n";
        let long =
            "HTTP/1.1 200 OK\r\ncontent-length: 65537\r\n\r\n".to_owned() + &" ".repeat(65537);
        for (upstream_answer, status, expected) in [
            (HELLO, 200, "Hello from 10.0.0.1:1000\nto [::1]:8001\na\nb\n"),
            (
                "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n",
                502,
                "service2 returned 500 Internal Server Error\n",
            ),
            ("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", 503, "service2 is not available\n"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\na\n", 502, "broke off"),
            (&long, 502, "longer than 65536 bytes"),
            ("220 mail ready\r\n", 502, "not HTTP"),
            ("", 504, "no answer"),
        ] {
            let answered = answer(vec![upstream(upstream_answer).await]).await;
            assert_eq!(answered.0, status, "{upstream_answer:?}: {answered:?}");
            assert!(answered.1.contains(expected), "{upstream_answer:?}: {answered:?}");
            assert!(
                answered.1.ends_with('\n') && (status == 200 || answered.1.lines().count() == 1),
                "{answered:?}"
            );
        }
    }

    #[tokio::test]
    async fn without_an_instance_the_answer_is_immediate() {
        let refusing = testkit::ports::unused().unwrap();
        for (upstreams, expected) in [
            (vec![], "no call to service2: it has no instances\n".to_owned()),
            (
                vec![refusing],
                format!(
                    "no answer from service2: {refusing} refused; there is no other instance\n"
                ),
            ),
        ] {
            assert_eq!(answer(upstreams).await, (503, expected));
        }
    }
}
