//! Wrong usage, and the help texts.

use crate::process::{discovery, done, text};

/// A command with wrong usage: exit code 2 at once, one sentence on stderr.
async fn refused(arguments: &[&str], variables: &[(&str, &str)], expected: &str) {
    let output = done(discovery(arguments).envs(variables.iter().copied())).await;
    assert_eq!(text(&output.stderr), format!("error: {expected}\n"));
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(2), String::new()),
        "{expected}"
    );
}

#[tokio::test]
async fn a_wrong_value_is_reported_with_its_flag_and_the_expected_form() {
    for (arguments, expected) in [
        (
            &["up", "--scale", "3"][..],
            "--scale is \"3\": expected service2=N, with N of at most 50",
        ),
        (
            &["up", "--scale", "service1=2"],
            "--scale is \"service1=2\": expected service2=N, with N of at most 50",
        ),
        (
            &["up", "--scale=service2=51"],
            "--scale is \"service2=51\": expected service2=N, with N of at most 50",
        ),
        (
            &["up", "--listen", "8001"],
            "--listen is \"8001\": expected an IP address and a port, like 0.0.0.0:8001 or [::1]:8001",
        ),
        (
            &["agent", "--http-listen", "localhost:8500"],
            "--http-listen is \"localhost:8500\": expected an IP address and a port, like 0.0.0.0:8001 or [::1]:8001",
        ),
        (
            &["agent", "--allow-host", "consul:8500"],
            "--allow-host is \"consul:8500\": expected a host name without a port, like consul",
        ),
        (
            &["ambassador", "6379"],
            "[LISTEN=SERVICE]... is \"6379\": expected LISTEN=SERVICE, like 6379=redis",
        ),
        (
            &["ambassador", "redis=6379"],
            "[LISTEN=SERVICE]... is \"redis=6379\": `redis` can't be listened on: expected PORT, IP:PORT or a path with a slash, like 6379, 127.0.0.1:6379 or ./redis.sock",
        ),
        (
            &["ambassador", "80=http:w*"],
            "[LISTEN=SERVICE]... is \"80=http:w*\": `w*` is not a service: expected 1 to 63 letters, digits, -, _ and .",
        ),
        (
            &["ambassador", "6379=redis", "6379=valkey"],
            "[::]:6379 is listed twice, for redis and for valkey",
        ),
        (
            &["ambassador", "6379=redis", "--proxy-protocol", "v3"],
            "--proxy-protocol is \"v3\": expected v1 or v2",
        ),
        (
            &["services", "--http-addr", "localhost"],
            "CONSUL_HTTP_ADDR is \"localhost\": a port is missing, perhaps localhost:8500",
        ),
        (
            &["resolve", "web", "--dns-addr", "a:b:c"],
            "CONSUL_DNS_ADDR is \"a:b:c\": it takes host:port, host or :port",
        ),
    ] {
        refused(arguments, &[], expected).await;
    }
}

#[tokio::test]
async fn a_wrong_value_of_run_or_register_is_reported_with_the_expected_form() {
    for (arguments, expected) in [
        (
            &["run", "web", "--port", "0", "--", "true"][..],
            "--port is \"0\": expected a port, 1 to 65535, or an IP address and a port, like 10.0.0.1:80",
        ),
        (
            &["run", "web", "--port", "80", "--ready", "http:health", "--", "true"],
            "--ready is \"http:health\": expected tcp, http:/PATH or exec:CMD",
        ),
        (
            &["run", "web", "--port", "80", "--service", "admin", "--", "true"],
            "--service is \"admin\": expected NAME:PORT or NAME:PORT=PROBE",
        ),
        (
            &["run", "web", "--port", "80", "--service", "admin:81=udp", "--", "true"],
            "--service is \"admin:81=udp\": expected tcp, http:/PATH or exec:CMD after =",
        ),
        (
            &["run", "web", "--port", "80", "--meta", "zone", "--", "true"],
            "--meta is \"zone\": expected KEY=VALUE, like zone=a",
        ),
        (
            &["register", "web", "--port", "80", "--address", "10.0.0.1:80"],
            "--address is \"10.0.0.1:80\": expected a host without a port, like 10.0.0.7 or web.example",
        ),
        (
            &["register", "web", "--port", "80", "--check", "ttl"],
            "--check is \"ttl\": expected tcp, http:/PATH or grpc",
        ),
    ] {
        refused(arguments, &[], expected).await;
    }
}

#[tokio::test]
async fn a_wrong_variable_is_reported_with_its_name() {
    for (variable, value, expected) in [
        (
            "CONSUL_HTTP_ADDR",
            "consul",
            "CONSUL_HTTP_ADDR is \"consul\": a port is missing, perhaps consul:8500",
        ),
        (
            "RUST_LOG",
            "discovery=loud",
            "RUST_LOG is \"discovery=loud\": expected a level like info, or target=level",
        ),
        ("LOG_FORMAT", "xml", "LOG_FORMAT is \"xml\": expected text or json"),
    ] {
        refused(&["services"], &[(variable, value)], expected).await;
    }
}

#[tokio::test]
async fn help_has_an_example_for_every_command() {
    for command in [
        "",
        "up",
        "agent",
        "ambassador",
        "services",
        "resolve",
        "watch",
        "explain",
        "doctor",
        "run",
        "register",
        "deregister",
    ] {
        let arguments: Vec<_> =
            [command, "--help"].into_iter().filter(|it| !it.is_empty()).collect();
        let output = done(&mut discovery(&arguments)).await;
        assert_eq!(output.status.code(), Some(0));
        insta::assert_snapshot!(
            format!("help-{}", arguments[0].trim_start_matches("--")),
            text(&output.stdout)
        );
    }
}
