//! The client below layers.

use std::{future::pending, sync::Arc, time::Duration};

use bytes::Bytes;
use discovery::{
    CallOptions, Client, Discovery, Error, Pool, Registration, RequestBody,
    serve::{AdminServer, Request as Received, Server, text},
    shutdown_signal,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet, time::sleep};
use tokio_util::task::AbortOnDropHandle;
use tower::{ServiceExt, load_shed::error::Overloaded, timeout::error::Elapsed};
use tower_example::{CALLS_MAX, layered};

use super::{LONG, listen, start};

/// An instance of `web`, which answers with the agent of the request and its body.
async fn serve(discovery: Discovery, listener: TcpListener) {
    let echo = async |request: Received| {
        let agent = request.head.headers["user-agent"].to_str().unwrap();
        text(StatusCode::OK, format!("{agent}: {}", String::from_utf8_lossy(&request.body)))
    };
    let server = Server::new().on(Method::POST, "/", echo);
    let address = listener.local_addr().unwrap();
    let registered = discovery.register(Registration::new("web", address)).unwrap();
    registered
        .serve_until(shutdown_signal(), Duration::ZERO, |lifecycle| server.run(listener, lifecycle))
        .await
        .unwrap();
}

fn get() -> Request<RequestBody> {
    Request::get("http://web/").body(RequestBody::from(())).unwrap()
}

async fn body(response: Response<impl http_body::Body<Data = Bytes, Error = Error>>) -> String {
    let body = response.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().into()).unwrap()
}

#[tokio::test]
async fn a_call_by_name_passes_the_layers() {
    let (agent, discovery) = start().await;
    let client = layered(discovery.client(), LONG);
    let instance = AbortOnDropHandle::new(tokio::spawn(serve(discovery.clone(), listen().await)));
    for sent in [|| RequestBody::from("tea"), || RequestBody::new(String::from("tea"))] {
        let request = || Request::post("http://web/").body(sent()).unwrap();
        let response = loop {
            match client.clone().oneshot(request()).await {
                Ok(response) => break response,
                // Not registered yet.
                Err(err) => assert!(err.downcast_ref::<Error>().unwrap().is_no_instance()),
            }
            sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(body(response).await, "tower-example: tea");
    }
    drop(instance);
    agent.stop().await;
}

/// An instance that answers once the gate is open, and a client of it.
struct Gated {
    client: Client,
    pool: Pool,
    /// One permit per request that has arrived.
    arrived: Arc<Semaphore>,
    gate: Arc<Semaphore>,
    _server: AbortOnDropHandle<()>,
}

impl Gated {
    async fn start() -> Self {
        let (arrived, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let both = (arrived.clone(), gate.clone());
        let handler = move |_| {
            let (arrived, gate) = both.clone();
            async move {
                arrived.add_permits(1);
                _ = gate.acquire().await.unwrap();
                text(StatusCode::OK, "done")
            }
        };
        let listener = listen().await;
        let pool = Pool::fixed("web", [listener.local_addr().unwrap()]);
        let server = AdminServer::new().get("/", handler).run(listener, pending());
        let of_pool = pool.clone();
        let client = Client::new(move |_| of_pool.clone());
        let patient = CallOptions::default().try_timeout(LONG).call_timeout(LONG);
        Self {
            client: client.with_options(patient).unwrap(),
            pool,
            arrived,
            gate,
            _server: AbortOnDropHandle::new(tokio::spawn(server)),
        }
    }
}

#[tokio::test]
async fn a_call_above_the_limit_fails_at_once_and_those_below_are_served() {
    let world = Gated::start().await;
    let client = layered(world.client, LONG);
    let mut calls = JoinSet::new();
    for _ in 0..CALLS_MAX {
        calls.spawn(client.clone().oneshot(get()));
    }
    _ = world.arrived.acquire_many(u32::try_from(CALLS_MAX).unwrap()).await.unwrap();
    let err = client.oneshot(get()).await.map(drop).unwrap_err();
    assert!(err.is::<Overloaded>(), "{err}");
    world.gate.add_permits(1);
    while let Some(served) = calls.join_next().await {
        assert_eq!(body(served.unwrap().unwrap()).await, "done");
    }
}

#[tokio::test]
async fn a_timeout_of_tower_cancels_the_call() {
    let world = Gated::start().await;
    let client = layered(world.client, Duration::from_millis(50));
    let err = client.oneshot(get()).await.map(drop).unwrap_err();
    assert!(err.is::<Elapsed>(), "{err}");
    assert_eq!(world.pool.explain().instances[0].member.unwrap().in_flight, 0);
}
