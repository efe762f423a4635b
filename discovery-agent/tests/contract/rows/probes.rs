//! HTTP and TCP checks, which the agent executes itself.

use serde_json::json;
use testkit::proxy::{Mode, Proxy};

use crate::{
    probed::{INTERVAL, Probed, becomes, with_check},
    table::{Row, row},
    target::{AnswerExt as _, Target},
};

pub(crate) const ROWS: &[Row] = &[
    row!(an_http_check_depends_on_the_status_code),
    row!(an_http_check_shows_the_answer),
    row!(an_http_check_sends_the_registered_request),
    row!(an_http_check_has_a_user_agent),
    row!(an_http_check_follows_redirects),
    row!(an_http_check_keeps_the_last_4096_bytes),
    row!(an_http_check_ends_with_its_timeout),
    row!(an_http_check_without_a_listener_is_critical),
    row!(a_tcp_check_depends_on_the_connection),
    row!(a_check_keeps_its_registered_status_until_the_first_probe),
    row!(a_deregistered_check_is_not_executed),
];

/// A probe that is interrupted by the close may have another output.
async fn is_refused(target: &Target, check: &str) {
    target
        .until("refused", || async {
            let (status, output) = target.status(check).await;
            status == "critical" && output.contains("refused")
        })
        .await;
}

async fn an_http_check_depends_on_the_status_code(target: &Target) {
    let cases = [
        (200, "passing"),
        (204, "passing"),
        (429, "warning"),
        (404, "critical"),
        (503, "critical"),
    ];
    let proxy = Proxy::start(target.http_addr()).await.unwrap();
    let check = json!({ "HTTP": format!("http://{}/", proxy.addr()), "Interval": INTERVAL });
    let check = with_check(target, check).await;
    assert_eq!(target.check(&check).await["Type"], "http");
    for (code, status) in cases {
        proxy.set(Mode::Status(code)).await.unwrap();
        target
            .until(&format!("{code}"), || async {
                let (now, output) = target.status(&check).await;
                now == status && output.contains(&format!("/: {code} "))
            })
            .await;
    }
}

async fn an_http_check_shows_the_answer(target: &Target) {
    let probed = Probed::start().await;
    let url = format!("http://{}/health", probed.addr);
    let check = with_check(target, json!({ "HTTP": url, "Interval": INTERVAL })).await;
    let output = becomes(target, &check, "passing").await;
    assert_eq!(output, format!("HTTP GET {url}: 200 OK Output: it lives"));
}

async fn an_http_check_sends_the_registered_request(target: &Target) {
    let probed = Probed::start().await;
    let check = json!({
        "HTTP": format!("http://{}/p?q=1", probed.addr),
        "Interval": INTERVAL,
        "Method": "PUT",
        "Header": { "X-Who": ["me"], "Host": ["other.example"] },
        "Body": "are you well",
    });
    let check = with_check(target, check).await;
    becomes(target, &check, "passing").await;
    let asked = probed.asked()[0].to_lowercase();
    assert!(asked.starts_with("put /p?q=1 http/1.1\r\n"), "{asked}");
    assert!(asked.ends_with("are you well"), "{asked}");
    for header in ["\r\nx-who: me\r\n", "\r\nhost: other.example\r\n"] {
        assert!(asked.contains(header), "{asked}");
    }
}

async fn an_http_check_has_a_user_agent(target: &Target) {
    let probed = Probed::start().await;
    let url = format!("http://{}/", probed.addr);
    let check = with_check(target, json!({ "HTTP": url, "Interval": INTERVAL })).await;
    becomes(target, &check, "passing").await;
    let asked = probed.asked()[0].to_lowercase();
    assert!(asked.starts_with("get / http/1.1\r\n"), "{asked}");
    let headers = [
        &format!("host: {}", probed.addr),
        "user-agent: consul health check",
        "accept: text/plain, text/*, */*",
        "connection: close",
    ];
    for header in headers {
        assert!(asked.contains(&format!("\r\n{header}\r\n")), "{header}: {asked}");
    }
}

async fn an_http_check_follows_redirects(target: &Target) {
    let there = Probed::start().await;
    let location = format!("Location: http://{}/there\r\n", there.addr);
    let here = Probed::answering(302, &location, "").await;
    let url = format!("http://{}/", here.addr);
    let check = with_check(target, json!({ "HTTP": url, "Interval": INTERVAL })).await;
    let output = becomes(target, &check, "passing").await;
    assert_eq!(output, format!("HTTP GET {url}: 200 OK Output: it lives"));
    assert!(there.asked()[0].starts_with("GET /there HTTP/1.1\r\n"));
}

async fn an_http_check_keeps_the_last_4096_bytes(target: &Target) {
    let body = "first".repeat(2000) + &"last!".repeat(800);
    let probed = Probed::answering(200, "", &body).await;
    let url = format!("http://{}/", probed.addr);
    let check = with_check(target, json!({ "HTTP": url, "Interval": INTERVAL })).await;
    let output = becomes(target, &check, "passing").await;
    assert_eq!(output, format!("HTTP GET {url}: 200 OK Output: {}", &body[body.len() - 4096..]));
}

async fn an_http_check_ends_with_its_timeout(target: &Target) {
    let proxy = Proxy::start(target.http_addr()).await.unwrap();
    proxy.set(Mode::Hang).await.unwrap();
    let url = format!("http://{}/", proxy.addr());
    let check =
        json!({ "HTTP": url, "Interval": INTERVAL, "Timeout": "100ms", "Status": "passing" });
    let check = with_check(target, check).await;
    becomes(target, &check, "critical").await;
}

async fn an_http_check_without_a_listener_is_critical(target: &Target) {
    let proxy = Proxy::start(target.http_addr()).await.unwrap();
    proxy.set(Mode::Closed).await.unwrap();
    let url = format!("http://{}/", proxy.addr());
    let check = json!({ "HTTP": url, "Interval": INTERVAL, "Status": "passing" });
    let check = with_check(target, check).await;
    is_refused(target, &check).await;
}

async fn a_tcp_check_depends_on_the_connection(target: &Target) {
    let proxy = Proxy::start(target.http_addr()).await.unwrap();
    let check = json!({ "TCP": proxy.addr().to_string(), "Interval": INTERVAL });
    let check = with_check(target, check).await;
    assert_eq!(target.check(&check).await["Type"], "tcp");
    let output = becomes(target, &check, "passing").await;
    assert_eq!(output, format!("TCP connect {}: Success", proxy.addr()));
    proxy.set(Mode::Closed).await.unwrap();
    is_refused(target, &check).await;
}

async fn a_check_keeps_its_registered_status_until_the_first_probe(target: &Target) {
    for (status, expected) in [("", "critical"), ("passing", "passing")] {
        let check = json!({ "TCP": "127.0.0.1:1", "Interval": "1h", "Status": status });
        let check = with_check(target, check).await;
        assert_eq!(target.status(&check).await, (expected.to_owned(), String::new()));
    }
}

async fn a_deregistered_check_is_not_executed(target: &Target) {
    let probed = Probed::start().await;
    let check = json!({ "HTTP": format!("http://{}/", probed.addr), "Interval": INTERVAL });
    let check = with_check(target, check).await;
    becomes(target, &check, "passing").await;
    target.put(format!("/v1/agent/check/deregister/{check}")).await.is(200, "");
    // A probe may be in progress until another check was executed; after two more of that one the first would have been executed again.
    let other = Probed::start().await;
    with_check(target, json!({ "HTTP": other.url("/"), "Interval": INTERVAL })).await;
    target.until("another check is executed", || async { !other.asked().is_empty() }).await;
    let runs = probed.asked().len();
    target
        .until("another check is executed three times", || async { other.asked().len() > 2 })
        .await;
    assert_eq!(probed.asked().len(), runs);
}
