//! An agent that has a registration that is not in the catalog, as without a leader, or not readable with the token.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use discovery::{Discovery, Registered, Settings, registration::RegistrationState};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{listener, reaches, ready, web};
use crate::world::SOON;

/// Stores a registration, and shows it in the catalog if `shows` is set.
#[derive(Clone, Default)]
struct Agent {
    registered: Arc<Mutex<Value>>,
    requests: Arc<Mutex<Vec<String>>>,
    shows: Arc<AtomicBool>,
}

impl Agent {
    async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(self.clone().answer(stream));
        }
    }

    async fn answer(self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let (mut head, mut line) = (String::new(), String::new());
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).await?;
            head.push_str(&line);
        }
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; len.map_or(0, |len| len.parse().unwrap())];
        stream.read_exact(&mut body).await?;
        let body = self.reply(&head, &body).to_string();
        let head =
            format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}", body.len());
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await
    }

    fn reply(&self, head: &str, body: &[u8]) -> Value {
        self.requests.lock().unwrap().push(head.lines().next().unwrap().to_owned());
        let mut registered = self.registered.lock().unwrap();
        if head.starts_with("PUT /v1/agent/service/register") {
            *registered = serde_json::from_slice(body).unwrap();
        }
        let service = json!({ "ID": "web-1", "Service": "web", "Meta": registered["Meta"],
            "Address": registered["Address"], "Port": registered["Port"] });
        // A record that can't be parsed does not hide the others.
        let invalid = json!({ "ID": "invalid", "Service": "invalid", "Port": 70_000 });
        if head.starts_with("GET /v1/agent/health/service/id/") {
            let check = json!({ "Node": "here", "CheckID": "service:web-1", "ServiceID": "web-1" });
            json!({ "AggregatedStatus": "passing", "Service": service, "Checks": [check] })
        } else if head.starts_with("GET /v1/catalog/node/here") && self.shows.load(Relaxed) {
            json!({ "Node": { "Node": "here", "Address": "127.0.0.1" }, "Services": { "invalid": invalid, "web-1": service } })
        } else {
            json!(null)
        }
    }
}

fn discovery(agent: SocketAddr) -> Discovery {
    let mut settings = Settings::default();
    settings.agent.address = agent.into();
    Discovery::new(settings).unwrap()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Catalog {
    Shows,
    Lacks,
}

/// An agent, a registration at it, and the tasks that must run as long.
async fn started(catalog: Catalog) -> (Agent, Registered, (JoinSet<()>, TcpListener)) {
    let (place, agent) = (listener().await, Agent::default());
    agent.shows.store(catalog == Catalog::Shows, Relaxed);
    let discovery = discovery(place.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(agent.clone().serve(place));
    let listener = listener().await;
    let registered = discovery.register(web(&listener)).unwrap();
    registered.set_accepting();
    (agent, registered, (serving, listener))
}

#[tokio::test]
async fn an_instance_that_is_not_in_the_catalog_is_not_ready() {
    let (agent, mut registered, _running) = started(Catalog::Lacks).await;
    reaches(&mut registered, RegistrationState::Registered).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!((registered.state(), registered.is_ready()), (RegistrationState::Registered, false));
    agent.shows.store(true, Relaxed);
    ready(&registered).await;
}

/// Otherwise, a restart of all instances would read the whole service once per instance.
#[tokio::test]
async fn a_registration_reads_its_node_and_never_the_whole_service() {
    let (agent, registered, _running) = started(Catalog::Shows).await;
    ready(&registered).await;
    let requests = || agent.requests.lock().unwrap().clone();
    let read_twice = async {
        while requests().iter().filter(|it| it.starts_with("GET /v1/catalog/node/here")).count() < 2
        {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, read_twice).await.expect("the node is not read a second time");
    let whole = |it: &&String| it.contains("/v1/health/") || it.contains("/v1/catalog/service");
    assert_eq!(requests().iter().find(whole), None);
}

/// Consul's servers remove a node that they can't reach for long, with all its services, and its agent does not notice.
#[tokio::test]
async fn an_instance_that_the_catalog_lost_is_registered_again() {
    let (agent, registered, _running) = started(Catalog::Shows).await;
    ready(&registered).await;
    agent.shows.store(false, Relaxed);
    let registrations = || {
        let requests = agent.requests.lock().unwrap();
        requests.iter().filter(|it| it.starts_with("PUT /v1/agent/service/register")).count()
    };
    let again = async {
        while registrations() < 2 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, again).await.expect("not registered again");
    agent.shows.store(true, Relaxed);
    ready(&registered).await;
}
