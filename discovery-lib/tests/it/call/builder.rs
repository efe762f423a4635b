//! Requests that are put together step by step.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use discovery::{CallOptions, Client, Pool, RequestBody, RequestBuilder};
use http::Method;
use http_body_util::Empty;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::{
    client,
    server::{HANG, OK, Reply, Server},
};

/// Head and body as an instance receives them, without the headers that each request has.
async fn received(build: impl FnOnce(&Client) -> RequestBuilder) -> String {
    let server = Server::always(OK).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    build(&client).send().await.unwrap();
    let own = ["host: service2", "discovery-service: service2"];
    let request = server.requests().remove(0);
    request.split("\r\n").filter(|line| !own.contains(line)).collect::<Vec<_>>().join("|")
}

#[tokio::test]
async fn each_part_of_a_request_reaches_the_instance() {
    let url = "http://service2/a";
    let item = BTreeMap::from([("name", "cup")]);
    for (request, expected) in [
        (received(|client| client.get(url)).await, "GET /a HTTP/1.1||"),
        (received(|client| client.delete(url)).await, "DELETE /a HTTP/1.1||"),
        (received(|client| client.post(url)).await, "POST /a HTTP/1.1|content-length: 0||"),
        (
            received(|client| client.put(url).body(RequestBody::new(Empty::<Bytes>::new()))).await,
            "PUT /a HTTP/1.1|content-length: 0||",
        ),
        (
            received(|client| client.method(Method::from_bytes(b"PURGE").unwrap(), url)).await,
            "PURGE /a HTTP/1.1||",
        ),
        (
            received(|client| client.put(url).body("text")).await,
            "PUT /a HTTP/1.1|content-length: 4||text",
        ),
        (
            received(|client| client.patch(url).json(&item)).await,
            r#"PATCH /a HTTP/1.1|content-type: application/json|content-length: 14||{"name":"cup"}"#,
        ),
        (
            received(|client| client.post(url).header("content-type", "a/b").json(&())).await,
            "POST /a HTTP/1.1|content-type: a/b|content-length: 4||null",
        ),
        (
            received(|client| client.get(url).header("x-a", "1").header("x-a", "2")).await,
            "GET /a HTTP/1.1|x-a: 1|x-a: 2||",
        ),
        (
            received(|client| client.get(url).query("a", 1).query("b c", "d&e=f/ü")).await,
            "GET /a?a=1&b%20c=d%26e%3Df%2F%C3%BC HTTP/1.1||",
        ),
        (
            received(|client| client.get("http://service2?x").query("a", "")).await,
            "GET /?x&a= HTTP/1.1||",
        ),
    ] {
        assert_eq!(request, expected);
    }
}

#[tokio::test]
async fn options_of_a_request_start_from_those_of_its_service() {
    let server = Server::always(HANG).await;
    let ms = Duration::from_millis;
    let of_service = CallOptions::default().try_timeout(ms(50)).tries_max(1);
    let client = client(&Pool::fixed("service2", [server.address]));
    let client = client.with_service_options("service2", of_service).unwrap();
    let get = || client.get("http://service2/");
    for (request, expected) in [
        (get(), "50 ms"),
        (get().timeout(ms(20)), "20 ms"),
        (get().options(|options| options.try_timeout(ms(30))), "30 ms"),
        (get().timeout(ms(10)).options(|options| options.try_timeout(ms(30))), "10 ms"),
    ] {
        let error = request.await.unwrap_err();
        assert!(error.is_timeout() && error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn json_of_another_type_is_an_error_that_names_the_instance() {
    let reply = Reply::Send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n[1,2,3]");
    let server = Server::always(reply).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    let get = async || client.get("http://service2/").await.unwrap().into_body();
    assert_eq!(get().await.json::<[u8; 3]>(64).await.unwrap(), [1, 2, 3]);
    let error = get().await.json::<String>(64).await.unwrap_err();
    let expected = format!("the answer of {} is not the expected JSON", server.address);
    assert!(error.is_call() && !error.is_retryable(), "{error:?}");
    assert!(error.to_string().starts_with(&expected), "{error}");
    let error = get().await.json::<[u8; 3]>(6).await.unwrap_err();
    assert!(error.to_string().ends_with("is longer than 6 bytes"), "{error}");
}

struct Unserializable;

impl Serialize for Unserializable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

#[tokio::test]
async fn an_invalid_part_is_an_error_before_anything_is_sent() {
    let server = Server::always(OK).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    let get = || client.get("http://service2/");
    for (request, expected) in [
        (client.get("http://a:secret@b c/"), "http://…@b c/ can't be called: no URL"),
        (
            client.get("https://service2/").json(&1),
            "https://service2/ can't be called: https:// needs TLS",
        ),
        (client.get("/x").query("a", 1), "/x can't be called: a service is called with http://"),
        (get().header("x y", "1"), "request not sent: a header has an invalid name"),
        (
            get().header("x-token", "secret\n"),
            "request not sent: the header x-token has an invalid value",
        ),
        (get().json(&Unserializable), "request not sent: its body can't be JSON"),
        (get().query("secret", "secret".repeat(20_000)), "request not sent: its URL is too long"),
        (
            get().timeout(Duration::ZERO),
            "call_timeout of the call options is 0ns: it must be from 1ms to ",
        ),
        // The first error.
        (
            get().header("x y", "1").json(&Unserializable).timeout(Duration::ZERO),
            "request not sent: a header has",
        ),
    ] {
        let error = request.await.unwrap_err();
        assert!(error.is_setting() && error.is_unserved(), "{error:?}");
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn debug_output_has_no_query_header_or_body() {
    let client = client(&Pool::fixed("service2", []));
    let request =
        client.post("http://service2/a?secret").header("x", "secret").json(&json!("secret"));
    assert_eq!(
        format!("{request:?}"),
        r#"RequestBuilder { method: POST, service: Some("service2"), path: "/a", .. }"#
    );
}
