//! A `Discovery` that outlives the runtime of its first use, such as a static that is shared by tests with a runtime each.

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use discovery::{
    Client, Discovery, Pool, Registration, Settings, Source, agent::AgentSettings,
    registration::RegistrationState,
};
use discovery_agent::Agent;
use http::{Method, Request, StatusCode};
use testkit::http::Request as TestRequest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::timeout,
};

use crate::world::SOON;

/// An agent and servers, on a runtime that outlives the others.
struct Elsewhere {
    /// Ends the runtime when it is dropped.
    _stop: oneshot::Sender<()>,
    thread: Option<JoinHandle<()>>,
    http: SocketAddr,
    dns: SocketAddr,
    /// Two that answer "one" and "two".
    servers: [SocketAddr; 2],
}

impl Elsewhere {
    fn start() -> Self {
        let (stop, stopped) = oneshot::channel();
        let (at_tx, at_rx) = mpsc::channel();
        let thread = thread::spawn(move || {
            runtime().block_on(async {
                let agent = Agent::start().await.unwrap();
                let servers = [answering("one").await, answering("two").await];
                at_tx.send((agent.http_addr(), agent.dns_addr(), servers)).unwrap();
                stopped.await.ok();
            });
        });
        let (http, dns, servers) = at_rx.recv().unwrap();
        Self { _stop: stop, thread: Some(thread), http, dns, servers }
    }

    fn discovery(&self, source: Source) -> Discovery {
        let settings = Settings::new(AgentSettings::new(self.http)).dns(self.dns).source(source);
        Discovery::new(settings).unwrap()
    }

    /// The one instance of `web` is this one.
    async fn move_web_to(&self, server: SocketAddr) {
        let (host, port) = (server.ip(), server.port());
        let body =
            format!(r#"{{"ID": "web", "Name": "web", "Address": "{host}", "Port": {port}}}"#);
        let request = TestRequest::put("/v1/agent/service/register").body(body);
        let answer = request.send(self.http).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let (unused, _) = oneshot::channel();
        drop(std::mem::replace(&mut self._stop, unused));
        self.thread.take().map(JoinHandle::join);
    }
}

/// A server that answers each request with this text.
async fn answering(word: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut read = Vec::new();
                while stream.read_buf(&mut read).await.is_ok_and(|count| count > 0) {
                    if read.ends_with(b"\r\n\r\n") {
                        read.clear();
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{word}");
                        stream.write_all(answer.as_bytes()).await.ok();
                    }
                }
            });
        }
    });
    at
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn called(client: &Client) -> String {
    let answer = client.get("http://web/").await.unwrap();
    answer.into_body().text(100).await.unwrap()
}

#[test]
fn a_client_finds_an_instance_that_moved_between_two_runtimes() {
    for source in [Source::Catalog, Source::Dns] {
        let elsewhere = Elsewhere::start();
        let discovery = elsewhere.discovery(source);
        let [one, two] = elsewhere.servers;
        let client = discovery.client();
        for (server, expected) in [(one, "one"), (two, "two"), (one, "one")] {
            runtime().block_on(async {
                elsewhere.move_web_to(server).await;
                assert_eq!(called(&client).await, expected);
            });
        }
    }
}

#[test]
fn a_pool_and_a_watch_that_are_held_are_restarted() {
    for source in [Source::Catalog, Source::Dns] {
        let elsewhere = Elsewhere::start();
        let discovery = elsewhere.discovery(source);
        let mut held = None;
        for server in elsewhere.servers {
            runtime().block_on(async {
                elsewhere.move_web_to(server).await;
                let new = || (discovery.pool("web"), discovery.watch("web"));
                let (pool, watch) = held.get_or_insert_with(new);
                let (stream, pick) = pool.connect().await.unwrap();
                assert_eq!(stream.peer_addr().unwrap(), server);
                pick.succeed();
                let port = async {
                    loop {
                        let known = watch.current().snapshot;
                        let known = known.and_then(|it| Some(it.instances.first()?.port));
                        if known == Some(server.port()) {
                            return;
                        }
                        watch.changed().await;
                    }
                };
                timeout(SOON, port).await.expect("no news");
            });
        }
    }
}

#[test]
fn a_waiting_watch_notices_the_end_of_the_runtime_of_its_poller() {
    let elsewhere = Elsewhere::start();
    let discovery = elsewhere.discovery(Source::Catalog);
    let [one, two] = elsewhere.servers;
    let asking = runtime();
    let mut watch = asking.block_on(async {
        elsewhere.move_web_to(one).await;
        let mut watch = discovery.watch("web");
        watch.changed().await;
        watch
    });
    runtime().block_on(async {
        let waiting = tokio::spawn(async move {
            while watch.current().snapshot.is_none_or(|it| it.instances[0].port != two.port()) {
                watch.changed().await;
            }
        });
        tokio::task::yield_now().await;
        asking.shutdown_background();
        elsewhere.move_web_to(two).await;
        timeout(SOON, waiting).await.expect("no news").unwrap();
    });
}

#[test]
fn a_connection_kept_on_a_runtime_that_ended_is_not_used() {
    let elsewhere = Elsewhere::start();
    let [one, _] = elsewhere.servers;
    let client = Client::new(move |service| Pool::fixed(service, [one]));
    // The first runtime exists and drives nothing, the second one has ended when the third one calls.
    let idle = runtime();
    idle.block_on(called(&client));
    for _ in 0..2 {
        let post = Request::builder().method(Method::POST).uri("http://web/").body("").unwrap();
        let answer = runtime().block_on(client.request(post)).unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

#[test]
fn a_registration_reports_the_end_of_its_runtime() {
    let elsewhere = Elsewhere::start();
    let discovery = elsewhere.discovery(Source::Catalog);
    let first = runtime();
    let registered = first.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registered =
            discovery.register(Registration::new("web", listener.local_addr().unwrap())).unwrap();
        registered.set_accepting();
        timeout(SOON, registered.ready()).await.unwrap().unwrap();
        registered
    });
    drop(first);
    assert_eq!((registered.state(), registered.is_ready()), (RegistrationState::Abandoned, false));
    let error = runtime().block_on(registered.ready()).unwrap_err();
    assert!(error.to_string().contains("is no longer kept registered"), "{error}");
}
