//! The file: its contents as values, and each error with its line.

use super::*;
use crate::HttpTimeouts;

#[track_caller]
fn check(text: &str, expected: &str) {
    let shown = Config::from_toml(text).map_or_else(|err| err.to_string(), |it| format!("{it:?}"));
    assert_eq!(shown, expected, "{text}");
}

#[test]
fn the_example_is_read_as_its_comments_describe() {
    let config = Config::from_toml(include_str!("../example.toml")).unwrap();
    assert_eq!(config.connections_max, 20_000);
    let routes: Vec<String> = config.routes.iter().map(ToString::to_string).collect();
    let expected =
        ["[::]:6379=redis", "./run/wiki.sock=http:wiki", "[::]:80=http:*", "udp:127.0.0.1:53=dns"];
    assert_eq!(routes, expected);
    let default = RouteOptions::default();
    assert_eq!(config.routes[1].options, default);
    assert_eq!(config.routes[3].options, default);
    let tcp = RouteOptions {
        connections_max: 1000,
        connect_timeout: Duration::from_millis(500),
        idle_timeout: Some(Duration::from_secs(1800)),
        linger: Some(Duration::from_secs(60)),
        sticky: true,
        proxy_protocol: Some(ProxyProtocol::V2),
        ..default.clone()
    };
    assert_eq!(config.routes[0].options, tcp);
    let http = HttpTimeouts {
        head: Duration::from_secs(5),
        client: Duration::from_secs(15),
        response: Duration::from_secs(120),
        stall: Duration::from_secs(20),
        retry: Duration::from_secs(180),
    };
    let by_host = RouteOptions {
        idle_timeout: Some(Duration::from_secs(60)),
        allow: Some(vec!["rng".to_owned(), "hasher".to_owned()]),
        trusts_callers: false,
        http,
        ..default
    };
    assert_eq!(config.routes[2].options, by_host);
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    let name = "expected 1 to 63 letters, digits, -, _ and .";
    let good = "[[route]]\nlisten = \"80\"\nservice = \"web\"\n";
    for (text, expected) in [
        ("", "line 1: there is no route: expected at least one [[route]]".to_owned()),
        ("connections = 5\n", "line 1: there is no route: expected at least one [[route]]".to_owned()),
        (
            "\n[[route]]\nlisten = \"80\"\nservise = \"web\"\n",
            "line 4: unknown field `servise`, expected one of `listen`, `service`, `connections`, `connect_timeout`, `idle_timeout`, `linger`, `sticky`, `proxy_protocol`, `allow`, `untrusted_callers`, `head_timeout`, `client_timeout`, `response_timeout`, `stall_timeout`, `retry_timeout`".to_owned(),
        ),
        ("[[routes]]\n", "line 1: unknown field `routes`, expected `connections` or `route`".to_owned()),
        ("[[route]]\nlisten = \"80\"\n", "line 1: missing field `service`".to_owned()),
        (
            "[[route]]\nlisten = 80\nservice = \"web\"\n",
            "line 2: invalid type: integer `80`, expected a string".to_owned(),
        ),
        (
            "[[route]]\nlisten = \"80\"\nservice = \"web\"\nsticky = \"yes\"\n",
            "line 4: invalid type: string \"yes\", expected a boolean".to_owned(),
        ),
        (
            "[[route]]\nlisten = \"80\"\nservice = \"we b\"\n",
            format!("line 3: `we b` is not a service: {name}"),
        ),
        (
            "[[route]]\nlisten = \"localhost:80\"\nservice = \"web\"\n",
            "line 2: `localhost:80` can't be listened on: expected PORT, IP:PORT or a path with a slash, like 6379, 127.0.0.1:6379 or ./redis.sock".to_owned(),
        ),
        (
            &format!("{good}\n[[route]]\nlisten = \"80\"\nservice = \"other\"\n"),
            "line 6: [::]:80 is listed twice, for web and for other".to_owned(),
        ),
        (
            "[[route]]\nlisten = \"udp:53\"\nservice = \"http:dns\"\n",
            "line 3: http: is not for UDP: expected a service, like udp:53=dns".to_owned(),
        ),
        (
            &format!("{good}linger = \"2h\"\n"),
            "line 4: expected a duration of at most 1 hour, like 2s, 500ms or 1m".to_owned(),
        ),
        (&format!("{good}proxy_protocol = \"v3\"\n"), "line 4: expected v1 or v2".to_owned()),
        (&format!("{good}connections = 0\n"), "line 4: expected at least 1 connection".to_owned()),
        (&format!("connections = 0\n{good}"), "line 1: expected at least 1 connection".to_owned()),
        (
            &format!("{good}connections = -1\n"),
            "line 4: expected at least 1 connection".to_owned(),
        ),
        ("[[route]\n", "line 1: unclosed array table, expected `]`".to_owned()),
    ] {
        check(text, &expected);
    }
}

#[test]
fn a_wrong_option_of_http_is_refused_with_its_line() {
    let by_host = "[[route]]\nlisten = \"80\"\nservice = \"http:*\"\n";
    let label = "can't be named by the Host of a request: expected 1 to 63 lower-case letters, digits, - and _";
    for (option, expected) in [
        ("allow = \"rng\"", "invalid type: string \"rng\", expected a sequence".to_owned()),
        ("allow = []", "expected at least one service".to_owned()),
        ("allow = [\"rng\", \"Hasher\"]", format!("`Hasher` {label}")),
        ("allow = [\"rng.service.consul\"]", format!("`rng.service.consul` {label}")),
        (
            "untrusted_callers = \"yes\"",
            "invalid type: string \"yes\", expected a boolean".to_owned(),
        ),
        ("head_timeout = \"0s\"", "expected at least 1ms".to_owned()),
        ("connect_timeout = \"0ms\"", "expected at least 1ms".to_owned()),
        ("retry_timeout = 5", "invalid type: integer `5`, expected a string".to_owned()),
        (
            "response_timeout = \"5\"",
            "expected a duration of at most 1 hour, like 2s, 500ms or 1m".to_owned(),
        ),
    ] {
        check(&format!("{by_host}{option}\n"), &format!("line 4: {expected}"));
    }
    check(
        &format!("{by_host}allow = [\n  \"rng\",\n  \"Hasher\",\n]\n"),
        &format!("line 6: `Hasher` {label}"),
    );
}

#[test]
fn an_option_without_effect_is_refused_with_its_line() {
    let timeout = "\"1s\"";
    for (service, key, value, expected) in [
        ("http:web", "allow", "[\"rng\"]", "expected the service http:*"),
        ("web", "allow", "[\"rng\"]", "expected the service http:*"),
        ("web", "untrusted_callers", "true", "expected a service with http:, like http:web"),
        ("web", "head_timeout", timeout, "expected a service with http:, like http:web"),
        ("web", "client_timeout", timeout, "expected a service with http:, like http:web"),
        ("web", "response_timeout", timeout, "expected a service with http:, like http:web"),
        ("web", "stall_timeout", timeout, "expected a service with http:, like http:web"),
        ("web", "retry_timeout", timeout, "expected a service with http:, like http:web"),
        (
            "http:web",
            "proxy_protocol",
            "\"v1\"",
            "expected a service without http:, on a TCP port or a unix socket",
        ),
    ] {
        check(
            &format!("[[route]]\nlisten = \"80\"\nservice = \"{service}\"\n{key} = {value}\n"),
            &format!("line 4: `{key}` has no effect here: {expected}"),
        );
    }
    for (key, value) in [
        ("connections", "5"),
        ("connect_timeout", timeout),
        ("idle_timeout", timeout),
        ("linger", timeout),
    ] {
        check(
            &format!("[[route]]\nlisten = \"udp:53\"\nservice = \"dns\"\n{key} = {value}\n"),
            &format!("line 4: `{key}` has no effect here: expected a TCP port or a unix socket"),
        );
    }
}

#[test]
fn a_file_that_can_not_be_read_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("routes.toml");
    let error = |path: &Path| {
        let text = Config::read(path).unwrap_err().to_string();
        text.replace(&path.display().to_string(), "FILE")
    };
    assert_eq!(error(&path), "cannot read FILE: No such file or directory (os error 2)");
    std::fs::write(&path, "route = 1\n").unwrap();
    assert!(error(&path).starts_with("FILE line 1: invalid type: integer `1`"), "{}", error(&path));
    std::fs::write(&path, "#".repeat(1 << 20) + "##").unwrap();
    assert_eq!(error(&path), "FILE has more than 1048576 bytes");
}
