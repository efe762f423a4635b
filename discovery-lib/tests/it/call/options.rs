//! Options of a client, of a service and of a request.

use std::time::Duration;

use discovery::{CallOptions, Pool, TryError};
use http::Request;

use super::{
    client,
    server::{HANG, OK, Server},
};

const SHORT: Duration = Duration::from_millis(100);

fn short() -> CallOptions {
    CallOptions::default().try_timeout(SHORT).tries_max(1)
}

#[tokio::test]
async fn options_of_a_request_override_those_of_a_service_which_override_those_of_the_client() {
    let server = Server::always(HANG).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    let longer = |times| short().try_timeout(times * SHORT);
    let client = client.with_options(longer(2)).unwrap();
    let client = client.with_service_options("b", longer(3)).unwrap();
    for (service, own, span) in
        [("a", None, 2 * SHORT), ("b", None, 3 * SHORT), ("b", Some(longer(1)), SHORT)]
    {
        let mut request = Request::get(format!("http://{service}/")).body("").unwrap();
        if let Some(own) = own {
            request.extensions_mut().insert(own);
        }
        let error = client.request(request).await.unwrap_err();
        assert_eq!(error.tried()[0].why, TryError::Silent(span), "{error}");
    }
}

#[tokio::test]
async fn options_out_of_bounds_are_refused_and_nothing_is_sent() {
    let server = Server::always(OK).await;
    let client = client(&Pool::fixed("service2", [server.address]));
    let bad = CallOptions::default().tries_max(0);
    assert!(client.with_options(bad.clone()).unwrap_err().is_setting());
    assert!(client.with_service_options("service2", bad.clone()).unwrap_err().is_setting());
    let mut request = Request::get("http://service2/").body("").unwrap();
    request.extensions_mut().insert(bad);
    let error = client.request(request).await.unwrap_err();
    assert!(error.is_setting() && server.requests().is_empty(), "{error}");
}

#[tokio::test]
async fn no_idle_connection_is_kept_with_a_limit_of_zero() {
    let server = Server::always(OK).await;
    let pool = Pool::fixed("service2", [server.address]);
    for (options, accepted) in [
        (CallOptions::default(), 1),
        (CallOptions::default().idle_max(0), 3),
        (CallOptions::default().idle_timeout(Duration::ZERO), 6),
    ] {
        let client = client(&pool).with_options(options.clone()).unwrap();
        for _ in 0..3 {
            let answer = client.get("http://service2/").await.unwrap();
            assert_eq!(answer.into_body().text(64).await.unwrap(), "hello");
        }
        assert_eq!(server.accepted(), accepted, "{options:?}");
    }
}
