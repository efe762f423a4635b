//! The client with invalid answers, from a listener that sends given bytes.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

use super::*;

/// Answers one connection with these bytes, closes it, and returns the request.
async fn answering(bytes: impl Into<Vec<u8>>) -> (AgentSettings, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().into();
    let bytes = bytes.into();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 64 << 10];
        let len = stream.read(&mut asked).await.unwrap();
        // A client that has read enough may close first.
        stream.write_all(&bytes).await.ok();
        String::from_utf8(asked[..len].to_vec()).unwrap()
    });
    (AgentSettings { address, ..AgentSettings::default() }, asked)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The error of a health query with this answer.
async fn health_error(answer: impl Into<Vec<u8>>) -> Error {
    let (settings, _asked) = answering(answer).await;
    let client = AgentClient::new(settings).unwrap();
    client.health(&"web".into(), None).await.unwrap_err()
}

/// A list of one instance of this service.
fn of(service: &str) -> String {
    format!(r#"[{{"Node":{{"Node":"n"}},"Service":{{"ID":"a","Service":"{service}"}}}}]"#)
}

#[tokio::test]
async fn an_invalid_answer_is_an_error_that_names_the_fault() {
    let too_long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 40 << 20);
    for (answer, words) in [
        ("SSH-2.0-OpenSSH_9.6\r\n".to_owned(), "is not HTTP"),
        (ok("<html><h1>Hello"), "is not Consul's: \"<html><h1>Hello\""),
        (ok("{}"), "is not Consul's"),
        (ok("[{\"Node\":7}]"), "is not Consul's"),
        (ok(&of("db")), "is about another service: \"db\""),
        (ok(""), "is not Consul's: \"\""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[{".to_owned(), "is incomplete"),
        (too_long + &" ".repeat(33 << 20), "longer than the limit of 32 MiB"),
    ] {
        let err = health_error(answer).await;
        let text = err.to_string();
        assert!(text.starts_with("GET /v1/health/service/web?stale: "), "{text}");
        assert!(text.contains(words), "{text}");
        assert!(!err.is_timeout() && err.status().is_none(), "{err:?}");
    }
}

#[tokio::test]
async fn a_record_that_can_not_be_parsed_is_left_out_and_named() {
    let record = |id: &str, port: i64| {
        format!(
            r#"{{"Node":{{"Node":"larry"}},"Service":{{"ID":"{id}","Service":"web","Port":{port}}}}}"#
        )
    };
    let list = [record("a", 70_000), record("b", 80), record("c", -1)].join(",");
    let (settings, _asked) = answering(ok(&format!("[{list}]"))).await;
    let client = AgentClient::new(settings).unwrap();
    let answer = client.health(&"web".into(), None).await.unwrap();
    let ids: Vec<_> = answer.body.iter().map(|entry| entry.service.id.as_str()).collect();
    assert_eq!(ids, ["b"]);
    let why = |port| format!("{port} is not a port: a port is 0 to 65535");
    let left_out = [("a", why("70000")), ("c", why("-1"))];
    assert_eq!(answer.left_out, left_out.map(|(id, why)| LeftOut::new("larry", id, why)));
}

#[tokio::test]
async fn a_record_that_no_parser_takes_is_left_out() {
    let record = |id: &str, proxy: &str| {
        format!(
            r#"{{"Node":{{"Node":"larry"}},"Service":{{"ID":"{id}","Service":"web","Port":80,"Proxy":{proxy}}}}}"#
        )
    };
    let deep = "[".repeat(200) + &"]".repeat(200);
    for (proxy, why) in [
        (&*deep, "recursion limit exceeded"),
        (r#""\ud800""#, "hex escape"),
        ("1e999", "number out of range"),
    ] {
        let body = format!("[{},{}]", record("a", proxy), record("b", "{}"));
        let answer = read("X: y", &body, &Query::new("web"), Token::default()).await.unwrap();
        let ids: Vec<_> = answer.body.iter().map(|entry| entry.service.id.as_str()).collect();
        assert_eq!(ids, ["b"], "{why}");
        assert!(answer.left_out[0].why.contains(why), "{:?}", answer.left_out);
    }
}

const FILTERED: &str = "X-Consul-Results-Filtered-By-ACLs: true";

/// A read of the instances of `web` with this answer.
async fn read(
    headers: &str,
    body: &str,
    query: &Query,
    token: Token,
) -> Result<Answer<Vec<ServiceEntry>>, Error> {
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\n{headers}\r\nContent-Length: {length}\r\n\r\n{body}");
    let (settings, _asked) = answering(answer).await;
    AgentClient::new(settings.token(token)).unwrap().health(query, None).await
}

#[tokio::test]
async fn an_answer_that_acls_emptied_is_an_error() {
    let (query, prepared) = (Query::new("web"), Query::prepared("web"));
    let none = Token::default;
    for (query, body) in
        [(&query, "[]"), (&prepared, "{\"Nodes\":[]}"), (&prepared, "{\"Nodes\":null}")]
    {
        let err = read(FILTERED, body, query, none()).await.unwrap_err().to_string();
        let remedy = "hide all records from requests without a token: set CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE";
        assert!(err.ends_with(remedy), "{err}");
        let err = read(FILTERED, body, query, none().value("t")).await.unwrap_err().to_string();
        let remedy = "hide all records from this token: it needs service:read and node:read";
        assert!(err.ends_with(remedy), "{err}");
        for headers in ["X-Consul-Results-Filtered-By-ACLs: false", "X-Other: true"] {
            let answer = read(headers, body, query, none()).await.unwrap();
            assert!(answer.body.is_empty() && !answer.is_filtered_by_acls);
        }
    }
}

#[tokio::test]
async fn a_service_is_found_whatever_the_case_of_its_letters() {
    for (service, asked) in [("Web", "web"), ("web", "WEB"), ("KÄSE", "käse")] {
        let answer = read("X: y", &of(service), &Query::new(asked), Token::default()).await;
        assert_eq!(answer.unwrap().body.len(), 1, "{service}");
    }
    // A prepared query has a name of its own.
    let body = format!("{{\"Nodes\":{}}}", of("db"));
    let answer = read("X: y", &body, &Query::prepared("web"), Token::default()).await;
    assert_eq!(answer.unwrap().body.len(), 1);
}

#[tokio::test]
async fn an_answer_from_which_acls_hide_records_says_so() {
    for (headers, is_filtered) in [(FILTERED, true), ("X-Other: true", false)] {
        let answer = read(headers, &of("web"), &Query::new("web"), Token::default()).await.unwrap();
        assert_eq!((answer.body.len(), answer.is_filtered_by_acls), (1, is_filtered));
    }
}

#[tokio::test]
async fn the_delay_of_a_server_and_the_age_of_a_cache_add_up() {
    for (headers, millis) in [
        ("X-Other: true", 0),
        ("X-Consul-LastContact: 250", 250),
        ("Age: 0\r\nX-Cache: HIT", 0),
        ("Age: 7\r\nX-Consul-LastContact: 250\r\nX-Cache: HIT", 7250),
        ("Age: soon", 0),
    ] {
        let answer = read(headers, "[]", &Query::new("web"), Token::default()).await.unwrap();
        assert_eq!(answer.last_contact, Duration::from_millis(millis), "{headers}");
    }
}

#[tokio::test]
async fn a_denied_request_without_a_token_says_that_there_was_none() {
    for (token, rest) in [
        (
            Token::default(),
            " to requests without a token: set CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE",
        ),
        (Token::default().value("t"), ""),
    ] {
        let denied = "HTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\n\r\nPermission denied";
        let (settings, _asked) = answering(denied).await;
        let client = AgentClient::new(settings.token(token)).unwrap();
        let err = client.agent_self().await.unwrap_err().to_string();
        assert!(err.ends_with(&format!(" answered 403: Permission denied{rest}")), "{err}");
    }
}

#[tokio::test]
async fn a_port_without_an_agent_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client =
        AgentClient::new(AgentSettings { address: address.into(), ..AgentSettings::default() });
    let err = client.unwrap().pass("service:a", "").await.unwrap_err();
    assert!(err.is_retryable(), "{err:?}");
    let text =
        format!("PUT /v1/agent/check/pass/service%3Aa?note: no agent can be reached at {address}");
    assert_eq!(err.to_string(), text);
    let cause = std::error::Error::source(&err).unwrap().to_string();
    assert!(cause.contains("refused"), "{cause}");
}

#[tokio::test]
async fn the_body_of_a_refusal_is_quoted_on_one_line_and_truncated() {
    let (status, body) =
        ("500 Internal Server Error", format!("No cluster\n\tleader {}", "x".repeat(9999)));
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let err = health_error(answer).await;
    let text = err.to_string();
    assert!(text.contains("answered 500: No cluster leader xxx"), "{text}");
    assert!(text.ends_with("xxx...") && text.len() < 500, "{text}");
    assert!(err.is_retryable());
    assert_eq!(err.status(), Some(StatusCode::INTERNAL_SERVER_ERROR));
}

#[tokio::test]
async fn an_index_that_is_no_number_is_none() {
    for (header, index) in [
        ("X-Consul-Index: 18446744073709551615", Some(u64::MAX)),
        ("X-Consul-Index: 0", Some(0)),
        ("X-Consul-Index: -1", None),
        ("X-Consul-Index: seven", None),
        ("X-Other: 7", None),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 2\r\n\r\n[]");
        let (settings, _asked) = answering(answer).await;
        let client = AgentClient::new(settings).unwrap();
        let answer = client.health(&"web".into(), None).await.unwrap();
        assert_eq!((answer.index, answer.known_leader), (index, false), "{header}");
    }
}

#[tokio::test]
async fn a_request_contains_the_credentials_and_errors_do_not() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "  t0ken-of-file\n").unwrap();
    for (token, sent) in [
        (Token { value: Some("t0ken".into()), file: None }, "x-consul-token: t0ken\r\n"),
        (
            Token { value: Some("t0ken".into()), file: Some(file.path().into()) },
            "x-consul-token: t0ken-of-file\r\n",
        ),
        (
            Token { value: Some("t0ken".into()), file: Some("/dev/null".into()) },
            "x-consul-token: t0ken\r\n",
        ),
    ] {
        let (settings, asked) =
            answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\n\r\nPermission denied")
                .await;
        let client = AgentClient::new(AgentSettings {
            token,
            auth: Some(BasicAuth { user: "jo".into(), password: "pa55".into() }),
            namespace: Some("n s".into()),
            partition: Some("p".into()),
            ..settings
        })
        .unwrap();
        let err = client.health(&"web".into(), None).await.unwrap_err();
        let asked = asked.await.unwrap();
        assert!(
            asked.starts_with("GET /v1/health/service/web?stale&ns=n%20s&partition=p HTTP/1.1"),
            "{asked}"
        );
        assert!(
            asked.contains(sent) && asked.contains("authorization: Basic am86cGE1NQ=="),
            "{asked}"
        );
        for shown in [format!("{err:?} {err}"), format!("{client:?}")] {
            assert!(!shown.contains("t0ken") && !shown.contains("pa55"), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_token_file_that_can_not_be_read_is_named() {
    let (settings, _asked) = answering("").await;
    let token = Token { value: None, file: Some("/nowhere/token".into()) };
    let client = AgentClient::new(AgentSettings { token, ..settings }).unwrap();
    let err = client.agent_self().await.unwrap_err();
    assert_eq!(err.to_string(), "the token file /nowhere/token can't be read");
}

#[tokio::test]
async fn silence_ends_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().into();
    let client = AgentClient::new(AgentSettings { address, ..AgentSettings::default() }).unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(30), client.pass("a", "b"));
    let err = asked.await.unwrap().unwrap_err();
    assert!(err.is_timeout(), "{err:?}");
    assert!(err.to_string().contains("within 1s"), "{err}");
}

#[tokio::test]
async fn an_agent_behind_a_unix_socket_answers_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("consul.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let len = stream.read(&mut asked).await.unwrap();
        stream.write_all(ok("\"127.0.0.1:8300\"").as_bytes()).await.unwrap();
        String::from_utf8(asked[..len].to_vec()).unwrap()
    });
    let address = Address::Unix(path);
    let client = AgentClient::new(AgentSettings { address, ..AgentSettings::default() }).unwrap();
    assert_eq!(client.leader().await.unwrap().as_deref(), Some("127.0.0.1:8300"));
    assert!(serving.await.unwrap().starts_with("GET /v1/status/leader HTTP/1.1"));
}

/// Answers the first request of each connection and nothing more. The first two connections are answered side by side.
async fn answering_once() -> AgentSettings {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().into();
    tokio::spawn(async move {
        let both = Arc::new(tokio::sync::Barrier::new(2));
        for nth in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let both = both.clone();
            tokio::spawn(async move {
                let mut asked = vec![0; 64 << 10];
                assert_ne!(stream.read(&mut asked).await.unwrap(), 0);
                if nth < 2 {
                    both.wait().await;
                }
                stream.write_all(ok("").as_bytes()).await.unwrap();
                while stream.read(&mut asked).await.is_ok_and(|len| len > 0) {}
            });
        }
    });
    AgentSettings { address, ..AgentSettings::default() }
}

#[tokio::test]
async fn after_a_silent_connection_no_other_open_one_is_used() {
    let client = AgentClient::new(answering_once().await).unwrap();
    let (one, other) = tokio::join!(client.pass("a", ""), client.pass("a", ""));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    assert!(client.pass("a", "").await.unwrap_err().is_timeout());
    client.pass("a", "").await.unwrap();
}
