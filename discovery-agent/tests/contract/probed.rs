//! A server that is probed by checks.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::target::Target;

/// The shortest interval that Consul uses.
pub(crate) const INTERVAL: &str = "1s";

/// Answers every connection, and records the requests.
pub(crate) struct Probed {
    pub(crate) addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl Probed {
    /// Answers 200 and `it lives`.
    pub(crate) async fn start() -> Self {
        Self::answering(200, "", "it lives").await
    }

    pub(crate) async fn answering(status: u16, header: &str, body: &str) -> Self {
        let answer = answer(status, header, body);
        Self::with(move |_| answer.clone()).await
    }

    /// Answers `path` with this status and these headers, and every other with 200 and `it lives`.
    pub(crate) async fn redirecting(path: &'static str, status: u16, header: String) -> Self {
        let first = format!(" {path} HTTP/1.1");
        Self::with(move |asked| {
            let is_first = asked.lines().next().is_some_and(|line| line.ends_with(&first));
            if is_first { answer(status, &header, "") } else { answer(200, "", "it lives") }
        })
        .await
    }

    /// Answers with the result of `answer`, and closes.
    pub(crate) async fn with(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self::serve(answer, |_| {}).await
    }

    /// Answers with this, and then keeps the connection open.
    pub(crate) async fn unending(answer: &'static str) -> Self {
        let held = Mutex::new(Vec::new());
        Self::serve(|_| answer.to_owned(), move |stream| held.lock().unwrap().push(stream)).await
    }

    async fn serve(
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
        then: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let (mut task, log) = (JoinSet::new(), asked.clone());
        task.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut piece = vec![0; 4096];
                let length = stream.read(&mut piece).await.unwrap_or(0);
                let asked = String::from_utf8_lossy(&piece[..length]).into_owned();
                let answer = answer(&asked);
                log.lock().unwrap().push(asked);
                // A TCP check has closed its connection by now.
                stream.write_all(answer.as_bytes()).await.ok();
                then(stream);
            }
        });
        Self { addr, asked, _task: task }
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Method and target of each request so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |asked: &String| {
            let line = asked.lines().next().unwrap_or_default();
            line.trim_end_matches(" HTTP/1.1").to_owned()
        };
        self.asked().iter().map(line).collect()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

pub(crate) fn answer(status: u16, header: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} OK\r\n{header}Content-Length: {length}\r\n");
    format!("{head}Connection: close\r\n\r\n{body}")
}

/// Registers a service with this check, and returns the check's id.
pub(crate) async fn with_check(target: &Target, check: Value) -> String {
    let name = target.unique("probed");
    target.register(&json!({ "Name": name, "Check": check })).await;
    format!("service:{name}")
}

/// Waits until the check has this status, and returns its output.
pub(crate) async fn becomes(target: &Target, check: &str, status: &str) -> String {
    target
        .until(&format!("{check} is {status}"), || async {
            let (now, output) = target.status(check).await;
            now == status && !output.is_empty()
        })
        .await;
    target.status(check).await.1
}
