//! The service on the embedded agent, with real connections.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    routing::{get, post},
};
use axum_example::{app, serve};
use discovery::{
    CallOptions, Client, Discovery, Error, Lifecycle, Pool, Registration, Settings, ShutdownSignal,
    agent::AgentSettings,
    headers::{INSTANCE, LEAVING, SERVICE},
    registration::Trigger,
    serve::{Server, text},
};
use discovery_agent::Agent;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use testkit::http::{Answer, Request as TestRequest};
use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

/// A drain that no test waits for.
const LONG: Duration = Duration::from_secs(3600);
/// The deadline of everything that a test waits for.
const SOON: Duration = Duration::from_secs(60);
/// Bytes of a body.
const BODY_MAX: usize = 1024;

/// An instance that runs until it is shut down.
struct Instance {
    at: SocketAddr,
    lifecycle: Lifecycle,
    trigger: Trigger,
    serving: JoinHandle<Result<(), Error>>,
}

impl Instance {
    async fn start<F: Future<Output = ()> + Send>(
        discovery: &Discovery,
        registration: impl FnOnce(SocketAddr) -> Registration,
        drain: Duration,
        run: impl FnOnce(TcpListener, Lifecycle) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let registered = discovery.register(registration(at)).unwrap();
        let lifecycle = registered.lifecycle();
        let (trigger, signals) = ShutdownSignal::manual();
        let serving = registered.serve_until(signals, drain, |lifecycle| run(listener, lifecycle));
        Self { at, lifecycle, trigger, serving: tokio::spawn(serving) }
    }

    /// An instance that serves this app.
    async fn of_app(discovery: &Discovery, service: &str, drain: Duration, app: Router) -> Self {
        let registration = |at| Registration::new(service, at);
        let run = async |listener, lifecycle| serve(listener, app, lifecycle).await.unwrap();
        Self::start(discovery, registration, drain, run).await
    }

    async fn send(&self, method: Method, path: &str, service: Option<&'static str>) -> Answer {
        let request = TestRequest::new(method, path);
        let request = match service {
            Some(service) => request.header(SERVICE, HeaderValue::from_static(service)),
            None => request,
        };
        request.send(self.at).await.unwrap()
    }
}

async fn agent() -> (Agent, Discovery) {
    let agent = Agent::start().await.unwrap();
    let settings = Settings::new(AgentSettings::new(agent.http_addr())).dns(agent.dns_addr());
    (agent, Discovery::new(settings).unwrap())
}

/// Without an agent: nothing listens on port 1.
fn alone() -> Discovery {
    let agent = AgentSettings::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    Discovery::new(Settings::new(agent)).unwrap()
}

/// What callers see of an answer.
fn seen(answer: &Answer) -> (StatusCode, String, Vec<Vec<HeaderValue>>) {
    const HEADERS: [HeaderName; 5] =
        [INSTANCE, LEAVING, header::ALLOW, header::CONNECTION, header::CONTENT_TYPE];
    let values = |name| answer.headers.get_all(name).iter().cloned().collect();
    (answer.status, answer.text().to_owned(), HEADERS.iter().map(values).collect())
}

#[tokio::test]
async fn it_answers_as_the_server_of_the_library() {
    let (discovery, registration) = (alone(), |at| Registration::new("web", at).id("web-1"));
    let library = async |listener, lifecycle| {
        let hello = async |_| {
            let mut response = text(StatusCode::OK, "hello\n");
            response.headers_mut().append(INSTANCE, HeaderValue::from_static("db-1@there"));
            response
        };
        Server::new().get("/", hello).run(listener, lifecycle).await;
    };
    let hello = async || ([(INSTANCE, "db-1@there")], "hello\n");
    let layered = async move |listener, lifecycle| {
        let app = Router::new().route("/", get(hello));
        serve(listener, app, lifecycle).await.unwrap();
    };
    let library = Instance::start(&discovery, registration, LONG, library).await;
    let layered = Instance::start(&discovery, registration, LONG, layered).await;
    for is_shutting_down in [false, true] {
        if is_shutting_down {
            for instance in [&library, &layered] {
                instance.trigger.fire();
                instance.lifecycle.shutdown().await;
            }
        }
        for (method, path, service) in [
            (Method::GET, "/", None),
            (Method::GET, "/", Some("web")),
            (Method::GET, "/", Some("WEB")),
            (Method::GET, "/", Some("db")),
            (Method::HEAD, "/", None),
            (Method::GET, "/health", None),
            (Method::GET, "/health?x=1", None),
            (Method::HEAD, "/health", None),
            (Method::PUT, "/health", None),
            (Method::GET, "/health", Some("db")),
            (Method::GET, "/ready", None),
            (Method::GET, "/ready", Some("web")),
            (Method::PUT, "/ready", None),
        ] {
            let expected = library.send(method.clone(), path, service).await;
            let answer = layered.send(method.clone(), path, service).await;
            let case = format!("{method} {path} {service:?}, shutting down: {is_shutting_down}");
            assert_eq!(seen(&answer), seen(&expected), "{case}");
            let closes = answer.headers.get(header::CONNECTION).is_some_and(|it| it == "close");
            assert_eq!(closes, is_shutting_down, "{case}");
        }
        // The texts for other paths are axum's own.
        let answer = layered.send(Method::GET, "/no", None).await;
        assert_eq!(
            (answer.status, &answer.headers[INSTANCE]),
            (StatusCode::NOT_FOUND, &HeaderValue::from_static("web-1@"))
        );
    }
}

#[tokio::test]
async fn a_call_by_name_reaches_it() {
    let (agent, discovery) = agent().await;
    let instance = Instance::of_app(&discovery, "web", LONG, app()).await;
    instance.lifecycle.ready().await.unwrap();
    let response = discovery.client().get("http://web/").await.unwrap();
    let name = format!("{}@{}", instance.lifecycle.id(), instance.lifecycle.node().unwrap());
    assert_eq!(response.headers()[INSTANCE], name);
    assert_eq!(response.into_body().text(BODY_MAX).await.unwrap(), "hello from axum\n");
    let answer = instance.send(Method::GET, "/ready", None).await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "ready\n"));
    instance.serving.abort();
    agent.stop().await;
}

#[tokio::test]
async fn a_request_to_another_service_is_served_by_that_one() {
    let (discovery, served) = (alone(), Arc::new(AtomicUsize::new(0)));
    let counted = served.clone();
    let db = Router::new().route(
        "/",
        post(async move || {
            counted.fetch_add(1, Relaxed);
        }),
    );
    let web = Router::new().route("/", post(async || "web"));
    let db = Instance::of_app(&discovery, "db", LONG, db).await;
    let web = Instance::of_app(&discovery, "web", LONG, web).await;
    let pool = Pool::fixed("web", [db.at, web.at]);
    let client = Client::new(move |_| pool.clone());
    for _ in 0..20 {
        let response = client.request(Request::post("http://web/").body(()).unwrap()).await;
        assert_eq!(response.unwrap().into_body().text(BODY_MAX).await.unwrap(), "web");
    }
    assert_eq!(served.load(Relaxed), 0);
    let answer = db.send(Method::POST, "/", Some("web")).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (421, "this is db\n"));
}

/// Calls without a pause, half of them not repeatable, until it is over. Each has to succeed.
#[derive(Default)]
struct Load {
    /// The instances that answered.
    instances: Mutex<BTreeSet<String>>,
    is_over: AtomicBool,
}

impl Load {
    async fn run(self: Arc<Self>, client: Client) {
        while !self.is_over.load(Relaxed) {
            for method in [Method::GET, Method::POST] {
                let request =
                    Request::builder().method(method).uri("http://web/").body(()).unwrap();
                let response = client.request(request).await.unwrap();
                assert_eq!(response.status(), StatusCode::OK);
                let instance = response.headers()[INSTANCE].to_str().unwrap().to_owned();
                self.instances.lock().unwrap().insert(instance);
                response.into_body().bytes(BODY_MAX).await.unwrap();
            }
        }
    }

    async fn reaches(&self, instances: usize) {
        let reached = async {
            while self.instances.lock().unwrap().len() < instances {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, reached).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_under_load_loses_no_request() {
    const CALLERS: usize = 8;
    let (agent, discovery) = agent().await;
    let slow = async || {
        sleep(Duration::from_millis(5)).await;
        "done"
    };
    let app = || Router::new().route("/", get(slow).post(slow));
    let drain = Duration::from_secs(2);
    let leaves = Instance::of_app(&discovery, "web", drain, app()).await;
    let stays = Instance::of_app(&discovery, "web", drain, app()).await;
    for instance in [&leaves, &stays] {
        instance.lifecycle.ready().await.unwrap();
    }
    let (load, mut callers) = (Arc::new(Load::default()), JoinSet::new());
    // A slow machine is not a lost request.
    let patient = CallOptions::default().try_timeout(SOON).call_timeout(SOON);
    let client = discovery.client().with_options(patient).unwrap();
    for _ in 0..CALLERS {
        callers.spawn(load.clone().run(client.clone()));
    }
    load.reaches(2).await;
    leaves.trigger.fire();
    leaves.serving.await.unwrap().unwrap();
    load.instances.lock().unwrap().clear();
    load.reaches(1).await;
    load.is_over.store(true, Relaxed);
    while let Some(calls) = callers.join_next().await {
        calls.unwrap();
    }
    stays.serving.abort();
    agent.stop().await;
}
