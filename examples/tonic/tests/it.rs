//! The generated client on the embedded agent, with real connections.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::{net::Ipv4Addr, time::Duration};

use discovery::{
    CallOptions, Client, Discovery, Pool, Registration, Settings, agent::AgentSettings,
};
use discovery_agent::Agent;
use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tonic::Code;
use tonic_example::{Channel, channel_with, health};
use tonic_health::{
    ServingStatus,
    pb::{
        HealthCheckRequest, health_check_response::ServingStatus as Answered,
        health_client::HealthClient, health_server::HealthServer,
    },
    server::{HealthReporter, HealthService},
};

/// The deadline of everything that a test waits for.
const SOON: Duration = Duration::from_secs(60);

/// An instance that has the health service, and what changes its answers.
struct Server {
    address: std::net::SocketAddr,
    reporter: HealthReporter,
    task: AbortOnDropHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let reporter = HealthReporter::new();
        let address = listener.local_addr().unwrap();
        let task = AbortOnDropHandle::new(tokio::spawn(serve(listener, reporter.clone())));
        Self { address, reporter, task }
    }
}

async fn serve(listener: TcpListener, reporter: HealthReporter) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        let http = http2::Builder::new(TokioExecutor::new());
        connections
            .spawn(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(health)));
    }
}

fn client(servers: &[&Server]) -> HealthClient<Channel> {
    let pool = Pool::fixed("greeter", servers.iter().map(|server| server.address));
    health_of(&Client::new(move |_| pool.clone()))
}

/// With time limits that fit a slow machine.
fn health_of(client: &Client) -> HealthClient<Channel> {
    let options = CallOptions::default().connect_timeout(SOON).try_timeout(SOON).call_timeout(SOON);
    health(channel_with(client, options).unwrap(), "greeter").unwrap()
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn an_instance_is_found_by_name() {
    let agent = Agent::start().await.unwrap();
    let settings = Settings::new(AgentSettings::new(agent.http_addr())).dns(agent.dns_addr());
    let discovery = Discovery::new(settings).unwrap();
    let server = Server::start().await;
    let registration = Registration::new("greeter", server.address);
    let registered = discovery.register(registration).unwrap();
    registered.set_accepting();
    timeout(SOON, registered.ready()).await.unwrap().unwrap();
    let mut health = health_of(&discovery.client());
    let answer = loop {
        match health.check(of("")).await {
            Ok(answer) => break answer,
            // Not in the pool yet.
            Err(status) => assert!(status.to_string().contains("no call to greeter"), "{status}"),
        }
        sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(answer.into_inner().status(), Answered::Serving);
    agent.stop().await;
}

#[tokio::test]
async fn statuses_arrive_in_trailers_and_in_the_head() {
    let server = Server::start().await;
    let mut health = client(&[&server]);
    let answer = health.check(of("")).await.unwrap();
    assert_eq!(answer.metadata().get("grpc-status").unwrap(), "0");
    assert_eq!(answer.into_inner().status(), Answered::Serving);
    assert_eq!(health.check(of("unknown")).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_stream_has_each_change() {
    let server = Server::start().await;
    let mut health = client(&[&server]);
    let mut changes = health.watch(of("")).await.unwrap().into_inner();
    assert_eq!(changes.message().await.unwrap().unwrap().status(), Answered::Serving);
    for (status, answered) in [
        (ServingStatus::NotServing, Answered::NotServing),
        (ServingStatus::Serving, Answered::Serving),
    ] {
        server.reporter.set_service_status("", status).await;
        let change = timeout(SOON, changes.message()).await.unwrap();
        assert_eq!(change.unwrap().unwrap().status(), answered);
    }
    drop(server);
    assert!(timeout(SOON, changes.message()).await.unwrap().is_err(), "its instance has ended");
}

#[tokio::test]
async fn calls_continue_when_an_instance_ends() {
    let [one, other] = [Server::start().await, Server::start().await];
    let health = client(&[&one, &other]);
    let mut calls = JoinSet::new();
    for _ in 0..50 {
        let mut health = health.clone();
        calls.spawn(async move { health.check(of("")).await });
    }
    for answer in calls.join_all().await {
        answer.unwrap();
    }
    one.task.abort();
    let Server { task, .. } = one;
    assert!(task.await.unwrap_err().is_cancelled());
    for _ in 0..50 {
        health.clone().check(of("")).await.unwrap();
    }
}
