//! Starting, stopping, dropping.

use std::net::SocketAddr;

use discovery_agent::Agent;
use testkit::ports;
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    time,
};

use crate::requests::{SOON, get, register, until, waiting};

#[tokio::test]
async fn a_started_agent_answers() {
    let agent = Agent::start().await.unwrap();
    assert!(agent.http_addr().ip().is_loopback() && agent.dns_addr().ip().is_loopback());
    assert_eq!(agent.url(), format!("http://{}", agent.http_addr()));
    assert_eq!(get(agent.http_addr(), "/v1/status/leader").await.status, 200);
}

#[tokio::test]
async fn an_agent_has_the_configured_names() {
    let agent = Agent::builder().node_name("larry").datacenter("attic").start().await.unwrap();
    let config = get(agent.http_addr(), "/v1/agent/self").await.json()["Config"].clone();
    assert_eq!(
        (config["NodeName"].as_str(), config["Datacenter"].as_str()),
        (Some("larry"), Some("attic"))
    );
}

#[tokio::test]
async fn an_ipv6_leader_has_brackets() {
    let listen = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 0));
    let Ok(agent) = Agent::builder().http_listen(listen).start().await else {
        return testkit::consul::print_note("no IPv6 here: not tested");
    };
    let to = agent.http_addr();
    assert_eq!(get(to, "/v1/status/leader").await.text(), "\"[::1]:8300\"");
    assert_eq!(get(to, "/v1/status/peers").await.text(), "[\"[::1]:8300\"]");
    let own = get(to, "/v1/agent/self").await.json();
    assert_eq!(own["Stats"]["consul"]["leader_addr"], "[::1]:8300");
}

#[tokio::test]
async fn the_error_names_a_port_in_use() {
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = holder.local_addr().unwrap();
    let err = Agent::builder().http_listen(taken).start().await.unwrap_err();
    assert!(err.is_address_in_use());
    assert!(err.to_string().contains(&format!("HTTP {taken}")), "{err}");
    drop(holder);

    let holder = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let taken = holder.local_addr().unwrap();
    let err = Agent::builder().dns_listen(taken).start().await.unwrap_err();
    assert!(err.is_address_in_use());
    assert!(err.to_string().contains(&format!("DNS {taken}")), "{err}");
}

#[tokio::test]
async fn a_port_can_be_bound_again_immediately() {
    let [http, dns] = ports::free().unwrap().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let start = || Agent::builder().http_listen(http).dns_listen(dns).start();
    let agent = start().await.unwrap();
    // A connection that the agent closes keeps the port in TIME_WAIT for a minute.
    let kept = TcpStream::connect(http).await.unwrap();
    agent.stop().await;
    let again = start().await.unwrap();
    assert_eq!(again.http_addr(), http);
    drop(kept);
}

#[tokio::test]
async fn a_stop_answers_pending_queries() {
    let agent = Agent::start().await.unwrap();
    register(agent.http_addr(), "w", "passing").await;
    let waits = waiting(&agent).await;
    time::timeout(SOON, agent.stop()).await.unwrap();
    assert_eq!(waits.await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn a_dropped_agent_has_stopped() {
    let agent = Agent::start().await.unwrap();
    let (http, dns) = (agent.http_addr(), agent.dns_addr());
    let waits = waiting(&agent).await;
    drop(agent);
    assert!(waits.await.unwrap().is_err(), "connections end");
    is_free(http).await;
    is_free(dns).await;
    UdpSocket::bind(dns).await.unwrap();
}

async fn is_free(addr: SocketAddr) {
    let refused = async { while TcpStream::connect(addr).await.is_ok() {} };
    time::timeout(SOON, refused).await.unwrap();
}

#[tokio::test]
async fn a_disconnected_client_releases_its_permit() {
    let agent = Agent::start().await.unwrap();
    let waits = waiting(&agent).await;
    waits.abort();
    until(|| agent.waiting() == 0).await;
}

#[tokio::test]
async fn two_agents_are_independent() {
    let (one, two) = (Agent::start().await.unwrap(), Agent::start().await.unwrap());
    register(one.http_addr(), "w", "passing").await;
    assert_eq!(get(two.http_addr(), "/v1/agent/services").await.text(), "{}");
}
