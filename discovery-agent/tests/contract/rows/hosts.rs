//! The hosts that are accepted in requests.

use http::{HeaderValue, header::HOST};
use testkit::http::Request;

use crate::{
    table::{Row, row},
    target::{AnswerExt as _, Target},
};

pub(crate) const ROWS: &[Row] = &[
    row!(addresses_localhost_and_configured_names_are_hosts),
    row!(other_hosts_are_refused).ours_is_better(
        "Consul answers for any host, so that a web page whose name leads to 127.0.0.1 can register services",
    ),
];

/// Sends a request for `path` with this `Host`.
async fn send(target: &Target, path: &str, host: &'static str) -> (u16, String) {
    let request = Request::put(path).header(HOST, HeaderValue::from_static(host));
    let answer = target.ask(request.body("{\"Name\":\"rebound\"}")).await;
    (answer.status.as_u16(), answer.text().to_owned())
}

const REGISTER: &str = "/v1/agent/service/register";

async fn addresses_localhost_and_configured_names_are_hosts(target: &Target) {
    for host in ["127.0.0.1", "10.0.0.1:8500", "[::1]:1", "localhost:8500", "LOCALHOST", "consul"] {
        assert_eq!(send(target, REGISTER, host).await, (200, String::new()), "{host}");
    }
    // The host of an absolute target overrides `Host`.
    let absolute = format!("http://localhost{REGISTER}");
    assert_eq!(send(target, &absolute, "evil.example").await, (200, String::new()));
}

async fn other_hosts_are_refused(target: &Target) {
    let absolute = format!("http://evil.example{REGISTER}");
    let cases = [
        (REGISTER, "evil.example:8500"),
        (REGISTER, "127.0.0.1.evil.example"),
        (absolute.as_str(), "localhost"),
    ];
    for (path, host) in cases {
        let (status, text) = send(target, path, host).await;
        assert_eq!(status, if target.is_real() { 200 } else { 403 }, "{path} {host}: {text}");
        assert_eq!(text.contains("--allow-host"), !target.is_real(), "{text}");
    }
    target.get("/v1/agent/services").await.ok();
}
