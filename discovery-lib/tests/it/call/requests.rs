//! The request that an instance receives, and the answer that the caller gets.

use std::{
    sync::{Arc, OnceLock},
    thread,
};

use discovery::Pool;
use http::{Request, StatusCode};
use tokio::{runtime, sync::oneshot, time::timeout};

use super::{
    SOON, client,
    server::{OK, Reply, Server},
};

#[tokio::test]
async fn a_url_names_a_service_and_its_path_reaches_an_instance() {
    let server = Server::always(OK).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    let answer = client.get("http://service2/orders/7?full=1").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.into_body().text(64).await.unwrap(), "hello");
    let sent =
        "GET /orders/7?full=1 HTTP/1.1\r\nhost: service2\r\ndiscovery-service: service2\r\n\r\n";
    assert_eq!(server.requests(), [sent]);
}

#[tokio::test]
async fn a_body_and_headers_are_passed_on_except_those_for_one_hop() {
    let reply = Reply::Send(
        "HTTP/1.1 201 Created\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-End: 2\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n",
    );
    let server = Server::always(reply).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    let request = Request::post("http://service2/")
        .header("host", "shop.example")
        .header("connection", "x-mine")
        .header("x-mine", "1")
        .header("x-theirs", "2")
        .header("discovery-service", "another-service")
        .body("seven!!")
        .unwrap();
    let answer = client.request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let names: Vec<_> = answer.headers().keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-end", "content-length"]);
    let sent = server.requests().remove(0);
    let mut lines: Vec<_> = sent.lines().collect();
    lines[1..].sort_unstable();
    assert_eq!(
        lines,
        [
            "POST / HTTP/1.1",
            "",
            "content-length: 7",
            "discovery-service: service2",
            "host: shop.example",
            "seven!!",
            "x-theirs: 2",
        ]
    );
}

#[tokio::test]
async fn an_invalid_url_is_refused_with_the_reason() {
    let client = client(&Pool::fixed("service2", []));
    for (url, text) in [
        (
            "https://service2/",
            "https://service2/ can't be called: https:// needs TLS in the options of its calls (CallOptions::tls)",
        ),
        ("/orders", "/orders can't be called: a service is called with http:// or https://"),
        (
            "ftp://service2/",
            "ftp://service2/ can't be called: a service is called with http:// or https://",
        ),
        (
            "http://service2:80/",
            "http://service2:80/ can't be called: a URL of a service has no port: it is known from Consul",
        ),
        ("http://", "http:// can't be called: no URL"),
        (
            "http://user:secret@service2/orders?token=secret",
            "http://…@service2/orders can't be called: a user and a password belong in an Authorization header",
        ),
        (
            "https://user:secret@service2/?token=secret",
            "https://…@service2/ can't be called: a user and a password belong in an Authorization header",
        ),
        ("http://user:sec ret@service2/", "http://…@service2/ can't be called: no URL"),
        ("http://service 2/?token=secret", "http://service 2/ can't be called: no URL"),
    ] {
        let error = client.get(url).await.unwrap_err();
        assert_eq!(error.to_string(), text);
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        assert!(error.is_unserved());
        assert!(!error.is_no_instance() && !error.is_retryable());
    }
}

#[tokio::test]
async fn a_service_is_looked_up_once() {
    let server = Server::always(OK).await;
    let (asked, address) = (Arc::new(std::sync::Mutex::new(Vec::new())), server.address);
    let log = asked.clone();
    let client = discovery::Client::new(move |service| {
        log.lock().unwrap().push(service.to_owned());
        Pool::fixed(service, [address])
    });
    for service in ["a", "b", "a", "a", "b"] {
        client.clone().get(&format!("http://{service}/")).await.unwrap();
    }
    assert_eq!(*asked.lock().unwrap(), ["a", "b"]);
}

#[tokio::test]
async fn a_pool_lookup_may_use_its_client() {
    let server = Server::always(OK).await;
    let (own, address) = (Arc::new(OnceLock::<discovery::Client>::new()), server.address);
    let seen = own.clone();
    let client = discovery::Client::new(move |service| {
        assert!(format!("{:?}", seen.get()).contains("services"));
        Pool::fixed(service, [address])
    });
    own.set(client.clone()).unwrap();
    // On its own thread, since a deadlock never returns.
    let (done_tx, done) = oneshot::channel();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        done_tx.send(runtime.block_on(client.get("http://service2/").send()).is_ok()).unwrap();
    });
    assert!(timeout(SOON, done).await.unwrap().unwrap());
}
