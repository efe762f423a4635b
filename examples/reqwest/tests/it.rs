//! The client on the embedded agent, with real connections.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::{
    collections::BTreeSet,
    error::Error,
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use discovery::{
    Discovery, Pool, Registration, Settings,
    adapt::ServiceResolver,
    agent::AgentSettings,
    serve::{AdminServer, Server, text},
    shutdown_signal,
};
use discovery_agent::Agent;
use http::StatusCode;
use reqwest_example::client;
use tokio::{net::TcpListener, task::JoinSet, time::sleep};
use tokio_util::task::AbortOnDropHandle;

/// An instance of `web`, which answers with its address.
async fn serve(discovery: Discovery, listener: TcpListener) {
    let address = listener.local_addr().unwrap();
    let server =
        Server::new().get("/", move |_| async move { text(StatusCode::OK, address.to_string()) });
    let registered = discovery.register(Registration::new("web", address)).unwrap();
    registered
        .serve_until(shutdown_signal(), Duration::ZERO, |lifecycle| server.run(listener, lifecycle))
        .await
        .unwrap();
}

async fn listen() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

/// All causes, as reqwest's own text does not have them.
fn chain(err: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(err), |&err| err.source());
    causes.map(|err| format!("{err}: ")).collect()
}

#[tokio::test]
async fn instances_are_found_by_name_and_port() {
    let agent = Agent::start().await.unwrap();
    let settings = Settings::new(AgentSettings::new(agent.http_addr())).dns(agent.dns_addr());
    let discovery = Discovery::new(settings).unwrap();
    let (mut instances, mut expected) = (JoinSet::new(), BTreeSet::new());
    for _ in 0..2 {
        let listener = listen().await;
        expected.insert(listener.local_addr().unwrap().to_string());
        instances.spawn(serve(discovery.clone(), listener));
    }
    let mut answers = BTreeSet::new();
    while answers != expected {
        // Each client has its own connections.
        let client = client(discovery.clone()).unwrap();
        match client.get("http://web/").send().await {
            Ok(response) => answers.insert(response.text().await.unwrap()),
            // Not registered yet.
            Err(err) => {
                assert!(err.is_connect(), "{}", chain(&err));
                sleep(Duration::from_millis(20)).await;
                false
            }
        };
        assert!(answers.is_subset(&expected), "{answers:?}");
    }
    instances.shutdown().await;
    agent.stop().await;
}

#[tokio::test]
async fn another_instance_is_used_while_one_does_not_accept() {
    let (gone, listener) = (listen().await, listen().await);
    let addresses = [&gone, &listener].map(|it| it.local_addr().unwrap());
    drop(gone);
    let server = AdminServer::new().get("/", async |_| text(StatusCode::OK, "here"));
    let server = AbortOnDropHandle::new(tokio::spawn(server.run(listener, pending())));
    let pool = Pool::fixed("web", addresses);
    let resolver = Arc::new(ServiceResolver::new(move |_| pool.clone()));
    for _ in 0..20 {
        let client = reqwest::Client::builder().dns_resolver(resolver.clone()).no_proxy();
        let response = client.build().unwrap().get("http://web/").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "here");
    }
    drop(server);
}

#[tokio::test]
async fn a_service_without_instances_is_an_error_that_names_it() {
    let resolver = ServiceResolver::new(|service| Pool::fixed(service, []));
    let client =
        reqwest::Client::builder().dns_resolver(Arc::new(resolver)).no_proxy().build().unwrap();
    let err = client.get("http://web/").send().await.unwrap_err();
    assert!(err.is_connect());
    assert!(chain(&err).contains("no call to web"), "{}", chain(&err));
}

#[tokio::test]
async fn other_hosts_are_resolved_by_the_system() {
    let resolver = ServiceResolver::new(|service| panic!("asked for {service}"));
    let address: SocketAddr = listen().await.local_addr().unwrap();
    let client =
        reqwest::Client::builder().dns_resolver(Arc::new(resolver)).no_proxy().build().unwrap();
    let err = client.get(format!("http://localhost:{}/", address.port())).send().await.unwrap_err();
    assert!(chain(&err).contains("refused"), "{}", chain(&err));
}
