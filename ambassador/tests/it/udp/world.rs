//! An ambassador with one UDP route, instances that answer with their name, and clients.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use ambassador::{Ambassador, Config, Listen, Route};
use discovery::{Discovery, Settings, agent::AgentSettings};
use discovery_agent::Agent;
use testkit::http::Request;
use tokio::{
    net::UdpSocket,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

/// The deadline of everything that a test waits for, generous for a slow machine.
pub(super) const SOON: Duration = Duration::from_secs(60);
/// A client sends its datagram again after this time without an answer.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// The largest payload over IPv4.
pub(super) const LARGEST: usize = 65_507;

/// An instance: answers each datagram with its name, a space and the datagram. Its port is closed when it is dropped.
#[derive(Debug)]
pub(super) struct Echo {
    pub(super) at: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Echo {
    pub(super) async fn start(name: &'static str) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut datagram = vec![0; LARGEST];
            loop {
                let (length, from) = socket.recv_from(&mut datagram).await.unwrap();
                let answer = [name.as_bytes(), b" ", &datagram[..length]].concat();
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        Self { at, _task: AbortOnDropHandle::new(task) }
    }
}

/// A running ambassador and the port of its UDP route.
pub(super) async fn ambassador(listen: &str, discovery: Discovery) -> (Ambassador, u16) {
    let route: Route = format!("{listen}=dns").parse().unwrap();
    let config = Config::new(vec![route]).unwrap();
    let ambassador = Ambassador::start(&config, discovery, 2).unwrap();
    ambassador.ready().await;
    let Listen::Udp(at) = ambassador.addresses().remove(0) else { panic!("not UDP") };
    (ambassador, at.port())
}

/// Finds these instances.
pub(super) fn fixed(instances: &[SocketAddr]) -> Discovery {
    let list: Vec<String> = instances.iter().map(SocketAddr::to_string).collect();
    fixed_text(&list.join(","))
}

pub(super) fn fixed_text(list: &str) -> Discovery {
    let nowhere = AgentSettings::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let source = format!("fixed:{list}").parse().unwrap();
    Discovery::new(Settings::new(nowhere).source(source)).unwrap()
}

/// Finds what is registered at an agent.
pub(super) fn catalog(agent: &Agent) -> Discovery {
    Discovery::new(Settings::new(AgentSettings::new(agent.http_addr()))).unwrap()
}

pub(super) async fn register(agent: &Agent, id: &str, at: SocketAddr) {
    let body = format!(
        r#"{{"ID": "{id}", "Name": "dns", "Address": "{}", "Port": {}}}"#,
        at.ip(),
        at.port()
    );
    let answer = Request::put("/v1/agent/service/register").body(body);
    assert_eq!(answer.send(agent.http_addr()).await.unwrap().status, 200);
}

/// Sets an instance to maintenance, as one that leaves does.
pub(super) async fn maintain(agent: &Agent, id: &str) {
    let request = Request::put(format!("/v1/agent/service/maintenance/{id}?enable=true"));
    assert_eq!(request.send(agent.http_addr()).await.unwrap().status, 200);
}

/// A client at `local` that accepts datagrams only from `to`.
pub(super) async fn client(local: &str, to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(local).await.unwrap();
    socket.connect(to).await.unwrap();
    socket
}

/// A client of a port on 127.0.0.1.
pub(super) async fn local_client(port: u16) -> UdpSocket {
    client("127.0.0.1:0", (Ipv4Addr::LOCALHOST, port).into()).await
}

/// The next answer.
pub(super) async fn answer(client: &UdpSocket) -> Vec<u8> {
    let mut answer = vec![0; LARGEST];
    let length = timeout(SOON, client.recv(&mut answer)).await.unwrap().unwrap();
    answer.truncate(length);
    answer
}

pub(super) async fn exchange(client: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    client.send(datagram).await.unwrap();
    answer(client).await
}

/// Sends the datagram again and again until this is the answer.
pub(super) async fn until_answered(client: &UdpSocket, datagram: &[u8], expected: &[u8]) {
    let mut answer = vec![0; LARGEST];
    let tries = async {
        loop {
            client.send(datagram).await.ok();
            while let Ok(Ok(length)) = timeout(AGAIN_AFTER, client.recv(&mut answer)).await {
                if &answer[..length] == expected {
                    return;
                }
            }
            sleep(AGAIN_AFTER / 10).await;
        }
    };
    let text = String::from_utf8_lossy(expected);
    timeout(SOON, tries).await.unwrap_or_else(|_| panic!("no answer {text:?}"));
}
