//! HTTP checks: URLs, redirects, and answers without an end.

use serde_json::json;

use crate::{
    probed::{INTERVAL, Probed, answer, becomes, with_check},
    table::{Row, row},
    target::Target,
};

pub(crate) const ROWS: &[Row] = &[
    row!(a_location_is_relative_to_its_url),
    row!(a_redirect_keeps_method_and_body_or_makes_a_get),
    row!(an_invalid_redirect_is_critical),
    row!(endless_redirects_are_critical),
    row!(secrets_are_not_sent_to_another_server),
    row!(urls_are_escaped),
    row!(an_invalid_url_is_critical),
    row!(user_and_password_of_a_url_are_a_header),
    row!(a_password_is_not_shown).ours_is_better(
        "Consul shows the password in the output, which is readable without a token",
    ),
    row!(of_several_hosts_the_first_is_sent),
    row!(the_reason_phrase_of_the_server_is_shown),
    row!(the_head_of_an_answer_decides),
];

/// The request lines of one probe, until it passed or was refused.
async fn run(
    target: &Target,
    server: &Probed,
    check: serde_json::Value,
    status: &str,
) -> Vec<String> {
    let check = with_check(target, check).await;
    becomes(target, &check, status).await;
    server.lines()
}

async fn a_location_is_relative_to_its_url(target: &Target) {
    for (location, expected) in [
        ("next", "/a/b/next"),
        ("?x=1", "/a/b/c?x=1"),
        ("../ready", "/a/ready"),
        ("../../../../up", "/up"),
        ("/abs#frag", "/abs"),
        ("a b", "/a/b/a%20b"),
    ] {
        let server =
            Probed::redirecting("/a/b/c?q=1", 302, format!("Location: {location}\r\n")).await;
        let check = json!({ "HTTP": server.url("/a/b/c?q=1"), "Interval": INTERVAL });
        let lines = run(target, &server, check, "passing").await;
        assert_eq!(lines[..2], ["GET /a/b/c?q=1".to_owned(), format!("GET {expected}")]);
    }
}

async fn a_redirect_keeps_method_and_body_or_makes_a_get(target: &Target) {
    for (method, status, expected, body) in [
        ("POST", 301, "GET /next", ""),
        ("POST", 303, "GET /next", ""),
        ("POST", 307, "POST /next", "hello"),
        ("PUT", 302, "GET /next", ""),
        ("DELETE", 308, "DELETE /next", "hello"),
        ("HEAD", 303, "HEAD /next", ""),
    ] {
        let server = Probed::redirecting("/", status, "Location: /next\r\n".to_owned()).await;
        let check = json!({
            "HTTP": server.url("/"), "Interval": INTERVAL, "Method": method, "Body": "hello",
        });
        let lines = run(target, &server, check, "passing").await;
        assert_eq!(lines[1], expected, "{method} {status}");
        let asked = &server.asked()[1];
        assert_eq!(asked.split("\r\n\r\n").nth(1), Some(body), "{method} {status}: {asked}");
    }
}

async fn an_invalid_redirect_is_critical(target: &Target) {
    for header in ["", "Location:\r\n", "Location: %zz\r\n", "Location: ftp://x/\r\n"] {
        let server = Probed::answering(302, header, "").await;
        let check = json!({ "HTTP": server.url("/"), "Interval": INTERVAL, "Status": "passing" });
        let lines = run(target, &server, check, "critical").await;
        assert!(lines.iter().all(|line| line == "GET /"), "{header}: {lines:?}");
    }
}

async fn endless_redirects_are_critical(target: &Target) {
    let server = Probed::answering(302, "Location: /again\r\n", "").await;
    let check = json!({ "HTTP": server.url("/"), "Interval": INTERVAL, "Status": "passing" });
    let check = with_check(target, check).await;
    let output = becomes(target, &check, "critical").await;
    assert!(output.contains("stopped after 10 redirects"), "{output}");
    let lines = server.lines();
    let of_first_run = lines.iter().skip(1).take_while(|line| *line == "GET /again").count();
    assert_eq!(of_first_run, 9, "{lines:?}");
}

async fn secrets_are_not_sent_to_another_server(target: &Target) {
    let there = Probed::start().await;
    let elsewhere = format!("Location: {}\r\n", there.url("/next"));
    let headers = json!({ "Authorization": ["secret"], "Cookie": ["secret"], "X-Key": ["k"],
                          "Host": ["own.example"] });
    let here = Probed::redirecting("/", 302, elsewhere).await;
    let check = json!({ "HTTP": here.url("/"), "Interval": INTERVAL, "Header": headers });
    run(target, &here, check, "passing").await;
    let asked = there.asked()[0].to_lowercase();
    assert!(!asked.contains("secret") && asked.contains("\r\nx-key: k\r\n"), "{asked}");
    assert!(asked.contains(&format!("\r\nhost: {}\r\n", there.addr)), "{asked}");

    let here = Probed::redirecting("/", 302, "Location: /next\r\n".to_owned()).await;
    let check = json!({ "HTTP": here.url("/"), "Interval": INTERVAL, "Header": headers });
    run(target, &here, check, "passing").await;
    let asked = here.asked()[1].to_lowercase();
    for header in ["authorization: secret", "cookie: secret", "host: own.example"] {
        assert!(asked.contains(&format!("\r\n{header}\r\n")), "{header}: {asked}");
    }
}

async fn urls_are_escaped(target: &Target) {
    for (path, expected) in [
        ("/a b", "/a%20b"),
        ("/\u{e4}", "/%C3%A4"),
        ("", "/"),
        ("?x=1", "/?x=1"),
        ("/x#frag", "/x"),
        ("/b%2Fc", "/b%2Fc"),
    ] {
        let server = Probed::start().await;
        let check = json!({ "HTTP": server.url(path), "Interval": INTERVAL });
        let lines = run(target, &server, check, "passing").await;
        assert_eq!(lines[0], format!("GET {expected}"));
    }
}

async fn an_invalid_url_is_critical(target: &Target) {
    let server = Probed::start().await;
    let addr = server.addr;
    let urls = [
        format!("{addr}/x"),
        "/x".to_owned(),
        format!("ftp://{addr}/"),
        format!("http:{addr}/"),
        format!(" http://{addr}/"),
        format!("http://{addr}/%zz"),
        format!("http://{addr}/x\ny"),
        "http://127.0.0.1:99999/".to_owned(),
    ];
    for url in urls {
        let check = json!({ "HTTP": url, "Interval": INTERVAL, "Status": "passing" });
        assert_eq!(run(target, &server, check, "critical").await, [""; 0], "{url}");
    }
}

async fn user_and_password_of_a_url_are_a_header(target: &Target) {
    let server = Probed::redirecting("/", 302, "Location: next\r\n".to_owned()).await;
    let url = server.url("/").replace("http://", "http://user:pass@");
    run(target, &server, json!({ "HTTP": url, "Interval": INTERVAL }), "passing").await;
    for asked in &server.asked()[..2] {
        let asked = asked.to_lowercase();
        assert!(asked.contains("\r\nauthorization: basic dxnlcjpwyxnz\r\n"), "{asked}");
        assert!(asked.contains(&format!("\r\nhost: {}\r\n", server.addr)), "{asked}");
    }
}

async fn a_password_is_not_shown(target: &Target) {
    let server = Probed::start().await;
    let url = |password| server.url("/").replace("http://", &format!("http://user:{password}@"));
    let check = json!({ "HTTP": url("pass"), "Interval": INTERVAL });
    let check = with_check(target, check).await;
    let output = becomes(target, &check, "passing").await;
    let shown = url(if target.is_real() { "pass" } else { "***" });
    assert_eq!(output, format!("HTTP GET {shown}: 200 OK Output: it lives"));
}

async fn of_several_hosts_the_first_is_sent(target: &Target) {
    let server = Probed::start().await;
    let headers = json!({ "Host": ["first.example", "second.example"], "Content-Length": ["7"] });
    let check = json!({ "HTTP": server.url("/"), "Interval": INTERVAL, "Header": headers });
    run(target, &server, check, "passing").await;
    let asked = server.asked()[0].to_lowercase();
    assert!(asked.contains("\r\nhost: first.example\r\n"), "{asked}");
    assert!(!asked.contains("second") && !asked.contains("content-length: 7"), "{asked}");
}

async fn the_reason_phrase_of_the_server_is_shown(target: &Target) {
    for (line, status) in [
        ("200 Fine", "passing"),
        ("200", "passing"),
        ("299 Odd", "passing"),
        ("503 Not Yet", "critical"),
    ] {
        let first = format!("HTTP/1.1 {line}\r\n");
        let server =
            Probed::with(move |_| answer(200, "", "").replace("HTTP/1.1 200 OK\r\n", &first)).await;
        let check = json!({ "HTTP": server.url("/"), "Interval": INTERVAL });
        let check = with_check(target, check).await;
        let output = becomes(target, &check, status).await;
        assert_eq!(output, format!("HTTP GET {}: {line} Output: ", server.url("/")));
    }
}

/// The body does not matter: the part that arrived in time is shown.
async fn the_head_of_an_answer_decides(target: &Target) {
    let unending = Probed::unending("HTTP/1.1 200 OK\r\n\r\npart").await;
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart";
    let cut = Probed::with(|_| cut.to_owned()).await;
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".to_owned();
    let early = Probed::with(move |_| early.clone() + &answer(200, "", "part")).await;
    for server in [&unending, &cut, &early] {
        let check = json!({ "HTTP": server.url("/"), "Interval": INTERVAL, "Timeout": "500ms" });
        let check = with_check(target, check).await;
        let output = becomes(target, &check, "passing").await;
        assert_eq!(output, format!("HTTP GET {}: 200 OK Output: part", server.url("/")));
    }
}
