//! The two services as processes, without Consul: settings, start and end.

use std::net::SocketAddr;

use rustix::process::Signal;
use testkit::http::Request;
use tokio::{net::TcpListener, process::Command};

use crate::process::{Running, discovery};

/// A service as `up` starts it, but without `up`: its stdin stays open during the test.
fn service(name: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = discovery(&["child", name]);
    command.stdin(std::process::Stdio::piped());
    // Port 1 is closed: a service serves nevertheless.
    command.env("CONSUL_HTTP_ADDR", "127.0.0.1:1").env("LISTEN", "127.0.0.1:0");
    command.envs(variables.iter().copied());
    command
}

/// Its address, from its log.
async fn serving(running: &mut Running) -> SocketAddr {
    running
        .wait_for(|output| {
            let line = output.lines().find(|line| line.contains(" serving "))?;
            line.split("at=").nth(1)?.split_whitespace().next()?.parse().ok()
        })
        .await
}

/// Starts one with invalid settings: its exit code, and its last line.
async fn failed(name: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let (code, output) = Running::start(&mut service(name, variables)).ended().await;
    (code, output.lines().last().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_wrong_setting_is_reported_at_once() {
    for (variable, value, expected) in [
        (
            "LISTEN",
            "8001",
            "--listen (LISTEN) is \"8001\": expected an IP address and a port, like 0.0.0.0:8001 or [::1]:8001",
        ),
        (
            "ADVERTISE",
            "0.0.0.0",
            "--advertise (ADVERTISE) is \"0.0.0.0\": others can't reach it: advertise an address of this machine",
        ),
        (
            "SERVICE_NAME",
            "a/b",
            "--service-name (SERVICE_NAME) is \"a/b\": expected 1 to 63 letters, digits, -, _ and .",
        ),
        (
            "UPSTREAM",
            "a b",
            "--upstream (UPSTREAM) is \"a b\": expected 1 to 63 letters, digits, -, _ and .",
        ),
        (
            "RESOLVE",
            "dsn",
            "--resolve (RESOLVE) is \"dsn\": it takes catalog, dns or fixed:HOST:PORT,...",
        ),
        (
            "RESOLVE",
            "fixed:db",
            "--resolve (RESOLVE) is \"fixed:db\": `db` has no port: write db:PORT",
        ),
        (
            "CONSUL_DNS_ADDR",
            "a:b:c",
            "CONSUL_DNS_ADDR is \"a:b:c\": it takes host:port, host or :port",
        ),
        (
            "CONSUL_HTTP_ADDR",
            "consul",
            "CONSUL_HTTP_ADDR is \"consul\": a port is missing, perhaps consul:8500",
        ),
        (
            "DRAIN",
            "2",
            "--drain (DRAIN) is \"2\": expected a duration of at most 1 hour, like 2s, 500ms or 1m",
        ),
        (
            "ADMIN",
            "on",
            "--admin (ADMIN) is \"on\": expected an IP address and a port, like 0.0.0.0:8001 or [::1]:8001",
        ),
        ("LOG_FORMAT", "xml", "LOG_FORMAT is \"xml\": expected text or json"),
    ] {
        assert_eq!(
            failed("service1", &[(variable, value)]).await,
            (Some(2), format!("error: {expected}"))
        );
    }
}

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let empty = [
        "ADVERTISE",
        "SERVICE_NAME",
        "SERVICE_ID",
        "UPSTREAM",
        "RESOLVE",
        "DRAIN",
        "ADMIN",
        "RUST_LOG",
        "LOG_FORMAT",
    ];
    let variables = empty.map(|variable| (variable, ""));
    let mut running = Running::start(&mut service("service1", &variables));
    serving(&mut running).await;
    running.wait_for_text("service=service1").await;
}

#[tokio::test]
async fn a_flag_overrides_its_variable() {
    let mut command = service("service2", &[("SERVICE_ID", "by-variable")]);
    let mut running = Running::start(command.args(["--service-id", "by-flag"]));
    serving(&mut running).await;
    running.wait_for_text("instance=by-flag").await;
}

#[tokio::test]
async fn an_address_in_use_is_reported_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for (variable, setting) in [("LISTEN", "--listen (LISTEN)"), ("ADMIN", "--admin (ADMIN)")] {
        let expected = format!(
            "error: {at} is in use: stop the process that listens on it, or set another address with {setting}"
        );
        assert_eq!(failed("service2", &[(variable, &at)]).await, (Some(1), expected));
    }
    let expected =
        "error: 192.0.2.1:80 is not an address of this machine: set another with --listen (LISTEN)";
    assert_eq!(failed("service2", &[("LISTEN", "192.0.2.1:80")]).await, (Some(1), expected.into()));
}

#[tokio::test]
async fn a_second_run_on_one_address_fails() {
    let mut first = Running::start(&mut service("service2", &[]));
    let at = serving(&mut first).await;
    let (code, output) = failed("service2", &[("LISTEN", &at.to_string())]).await;
    assert_eq!(code, Some(1), "{output}");
    assert_eq!(Request::get("/").send(at).await.unwrap().status, 200);
}

#[tokio::test]
async fn without_consul_it_serves_but_is_not_ready() {
    let mut running = Running::start(&mut service("service2", &[]));
    let at = serving(&mut running).await;
    let answer = Request::get("/").send(at).await.unwrap();
    let lines: Vec<_> = answer.text().split_inclusive('\n').collect();
    assert!(lines[0].starts_with("Hello from 127.0.0.1:"), "{lines:?}");
    assert_eq!(lines[1..], [format!("to {at}\n")]);
    assert_eq!(Request::get("/health").send(at).await.unwrap().status, 200);
    assert_eq!(Request::get("/ready").send(at).await.unwrap().status, 503);
}

#[tokio::test]
async fn an_address_is_printed_in_its_usable_form() {
    for (listen, ask, from, to) in [
        ("[::]:0", "127.0.0.1", "Hello from 127.0.0.1:", "to 127.0.0.1:"),
        ("[::1]:0", "::1", "Hello from [::1]:", "to [::1]:"),
    ] {
        let mut running = Running::start(&mut service("service2", &[("LISTEN", listen)]));
        let port = serving(&mut running).await.port();
        let answer = Request::get("/")
            .send((ask.parse::<std::net::IpAddr>().unwrap(), port).into())
            .await
            .unwrap();
        let lines: Vec<_> = answer.text().lines().collect();
        assert!(lines[0].starts_with(from), "{lines:?}");
        assert_eq!(lines[1], format!("{to}{port}"));
    }
}

#[tokio::test]
async fn health_checks_the_running_service() {
    let mut running = Running::start(&mut service("service2", &[]));
    let at = serving(&mut running).await.to_string();
    for (name, variables, code) in [
        ("service2", &[("LISTEN", at.as_str())][..], 0),
        // The port belongs to another service now.
        ("service1", &[("LISTEN", at.as_str())], 1),
        ("service2", &[("LISTEN", "127.0.0.1:1")], 1),
        ("service2", &[], 1),
    ] {
        let (ended, output) = Running::start(service(name, variables).arg("health")).ended().await;
        assert_eq!(ended, Some(code), "{output}");
        assert_eq!(output.lines().count(), code as usize, "{output}");
    }
}

#[tokio::test]
async fn a_signal_shuts_it_down_gracefully_and_a_second_one_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut running = Running::start(&mut service("service2", &[("DRAIN", "100ms")]));
        serving(&mut running).await;
        running.signal(signal);
        assert_eq!(running.ended().await.0, Some(0));
    }
    let mut running = Running::start(&mut service("service2", &[("DRAIN", "59m")]));
    serving(&mut running).await;
    running.signal(Signal::TERM);
    running.wait_for_text("shutting down").await;
    running.signal(Signal::TERM);
    let (code, output) = running.ended().await;
    assert_eq!(code, Some(1), "{output}");
    // The order of log and error is undefined: they come from two pipes.
    assert!(
        output.lines().any(|line| line == "error: a second signal ended it at once"),
        "{output}"
    );
}

#[tokio::test]
async fn the_log_is_json_on_request() {
    let mut running = Running::start(&mut service("service2", &[("LOG_FORMAT", "json")]));
    let line = running
        .wait_for(|output| output.lines().find(|line| line.contains("serving")).map(str::to_owned))
        .await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["service"], &line["level"]), (&"service2".into(), &"INFO".into()));
}

#[tokio::test]
async fn help_names_every_setting() {
    for name in ["service1", "service2"] {
        let (code, output) = Running::start(
            service(name, &[]).env_remove("LISTEN").env_remove("CONSUL_HTTP_ADDR").arg("--help"),
        )
        .ended()
        .await;
        assert_eq!(code, Some(0));
        insta::assert_snapshot!(format!("help-{name}"), output);
    }
}
