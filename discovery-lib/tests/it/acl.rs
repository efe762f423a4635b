//! A Consul that denies all access without a token, and a token file that is replaced while in use.

use std::fs;

use discovery::{
    Discovery, Settings,
    agent::{AgentSettings, Token},
};
use http::{HeaderName, HeaderValue};
use serde_json::json;
use testkit::{
    consul::{Binary, Consul},
    http::Request,
};

use crate::watch::until::{shown, until, until_instances};

const MASTER: &str = "b1a55ed0-0000-4000-8000-000000000001";

async fn put(consul: &Consul, target: &str, body: serde_json::Value) -> serde_json::Value {
    let token = HeaderName::from_static("x-consul-token");
    let request = Request::put(target).body(body.to_string());
    let asked = request.header(token, HeaderValue::from_static(MASTER));
    let answer = asked.send(consul.http_addr()).await.unwrap();
    assert!(answer.status.is_success(), "{target}: {} {}", answer.status, answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// Until it is ready the agent treats a request without a token as the master's; after that as anonymous.
async fn denying(binary: &Binary) -> Consul {
    let tokens = json!({"master": MASTER, "agent": MASTER, "default": MASTER});
    let acl = json!({"enabled": true, "default_policy": "deny", "tokens": tokens});
    let consul = Consul::of(binary).config(json!({"acl": acl})).start().await.unwrap();
    put(&consul, "/v1/agent/token/default", json!({"Token": ""})).await;
    consul
}

async fn register(consul: &Consul, port: u16) {
    let web =
        json!({"ID": format!("web-{port}"), "Name": "web", "Address": "10.0.0.1", "Port": port});
    put(consul, "/v1/agent/service/register", web).await;
}

fn discovery(consul: &Consul, token: Token) -> Discovery {
    let agent = AgentSettings::new(consul.http_addr()).token(token);
    Discovery::new(Settings::new(agent)).unwrap()
}

#[tokio::test]
async fn with_a_blank_or_half_written_token_file_no_request_is_anonymous() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let consul = denying(&binary).await;
    register(&consul, 1).await;
    let anonymous = discovery(&consul, Token::default());
    until_instances(&mut anonymous.watch("web"), &[]).await;

    let file = tempfile::NamedTempFile::new().unwrap();
    let by_file = || discovery(&consul, Token::default().file(file.path()));
    let mut unknown = by_file().watch("web");
    let failed = until(&mut unknown, |watched| watched.failure.is_some()).await;
    assert!(failed.snapshot.is_none(), "no empty answer was published");

    fs::write(file.path(), MASTER).unwrap();
    let discovery = by_file();
    let mut watch = discovery.watch("web");
    let mut known = vec!["10.0.0.1:1 passing".to_owned()];
    until(&mut watch, |watched| shown(watched) == known).await;
    let other = put(&consul, "/v1/acl/token", json!({"Policies": [{"Name": "global-management"}]}));
    let other = other.await["SecretID"].as_str().unwrap().to_owned();
    for (text, port) in [("", 2), (" \n", 3), (&MASTER[..9], 4), (&*other, 5), (&other[..9], 6)] {
        fs::write(file.path(), text).unwrap();
        register(&consul, port).await;
        known.push(format!("10.0.0.1:{port} passing"));
        until(&mut watch, |watched| shown(watched) == known).await;
        assert!(watch.current().failure.is_none(), "{text:?}");
    }
    fs::remove_file(file.path()).unwrap();
    register(&consul, 7).await;
    known.push("10.0.0.1:7 passing".to_owned());
    until(&mut watch, |watched| shown(watched) == known).await;
}
