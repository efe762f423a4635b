//! The client on the embedded agent, with real connections.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::{
    collections::BTreeSet,
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use discovery::{
    Discovery, Error, Instance, Pool, Registration, Settings, TryError,
    adapt::Connector,
    agent::AgentSettings,
    serve::{AdminServer, Server, text},
    shutdown_signal,
};
use discovery_agent::Agent;
use http::StatusCode;
use http_body_util::BodyExt;
use hyper_example::{Client, client, client_of};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

/// The deadline of everything that a test waits for.
const SOON: Duration = Duration::from_secs(60);

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

/// A server that is not registered, and its address.
async fn server() -> (AbortOnDropHandle<()>, SocketAddr) {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    let server = AdminServer::new().get("/", async |_| text(StatusCode::OK, "here"));
    (AbortOnDropHandle::new(tokio::spawn(server.run(listener, pending()))), address)
}

async fn listen() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()
}

fn client_of_pool(pool: &Pool) -> Client {
    let pool = pool.clone();
    client_of(Connector::new(move |_| pool.clone()))
}

type GetError = hyper_util::client::legacy::Error;

/// The body of the response, and the instance that it is from.
async fn get(client: &Client, url: &str) -> Result<(String, Option<Arc<Instance>>), GetError> {
    let mut response = client.get(url.parse().unwrap()).await?;
    let body = response.body_mut().collect().await.unwrap().to_bytes();
    let instance = response.extensions_mut().remove::<Arc<Instance>>();
    Ok((String::from_utf8(body.into()).unwrap(), instance))
}

/// The error of the connector.
fn cause(err: &GetError) -> &Error {
    std::error::Error::source(err).unwrap().downcast_ref().unwrap()
}

#[tokio::test]
async fn instances_are_found_by_name() {
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
        match get(&client(discovery.clone()), "http://web/").await {
            Ok((body, instance)) => {
                assert_eq!(instance.unwrap().to_string(), body);
                answers.insert(body);
            }
            // Not registered yet.
            Err(err) => {
                assert!(cause(&err).is_no_instance(), "{err:?}");
                sleep(Duration::from_millis(20)).await;
            }
        }
        assert!(answers.is_subset(&expected), "{answers:?}");
    }
    instances.shutdown().await;
    agent.stop().await;
}

#[tokio::test]
async fn another_instance_is_used_while_one_does_not_accept() {
    let gone = listen().await.local_addr().unwrap();
    let (_server, address) = server().await;
    for _ in 0..20 {
        let pool = Pool::fixed("web", [gone, address]);
        let (body, instance) = get(&client_of_pool(&pool), "http://web/").await.unwrap();
        assert_eq!((body.as_str(), instance.unwrap().port), ("here", address.port()));
    }
}

#[tokio::test]
async fn the_result_of_a_connection_counts_for_its_instance() {
    let gone = listen().await.local_addr().unwrap();
    let (_server, address) = server().await;
    let (refusing, good) = (Pool::fixed("web", [gone]), Pool::fixed("web", [address]));
    let err = get(&client_of_pool(&refusing), "http://web/").await.unwrap_err();
    let tried = cause(&err).tried();
    assert_eq!((tried.len(), tried[0].why), (1, TryError::Refused));
    get(&client_of_pool(&good), "http://web/").await.unwrap();
    let latency = |pool: &Pool| pool.explain().instances[0].member.unwrap().latency.unwrap();
    assert!(latency(&refusing) > latency(&good));
}

#[tokio::test]
async fn a_connection_is_a_call_in_flight_until_it_ends() {
    let (_server, address) = server().await;
    let pool = Pool::fixed("web", [address]);
    let client = client_of_pool(&pool);
    let in_flight = || pool.explain().instances[0].member.unwrap().in_flight;
    for _ in 0..3 {
        get(&client, "http://web/").await.unwrap();
        assert_eq!(in_flight(), 1);
    }
    drop(client);
    let ended = async {
        while in_flight() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, ended).await.unwrap();
}

#[tokio::test]
async fn a_service_without_instances_is_an_error_that_names_it() {
    let err = get(&client_of_pool(&Pool::fixed("web", [])), "http://web/").await.unwrap_err();
    assert!(err.is_connect());
    assert_eq!(cause(&err).to_string(), "no call to web: it has no instances");
}

#[tokio::test]
async fn other_hosts_are_connected_to_as_without_the_connector() {
    let (_server, address) = server().await;
    let client = client_of(Connector::new(|service| panic!("asked for {service}")));
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("http://{host}:{}/", address.port());
        let (body, instance) = get(&client, &url).await.unwrap();
        assert_eq!((body.as_str(), instance), ("here", None), "{host}");
    }
}
