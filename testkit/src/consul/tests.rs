//! A Consul that is started, killed, stopped, frozen and started again.

use serde_json::json;

use super::*;

/// Long enough for an answer to arrive.
const A_WHILE: Duration = Duration::from_millis(300);

async fn ask(consul: &Consul, target: &str) -> io::Result<Value> {
    Ok(Request::get(target).send(consul.http_addr()).await?.json())
}

async fn register(consul: &Consul, name: &str) {
    let body = json!({ "Name": name }).to_string();
    let request = Request::put("/v1/agent/service/register").body(body);
    assert!(request.send(consul.http_addr()).await.unwrap().status.is_success());
}

async fn has_service(consul: &Consul, name: &str) -> bool {
    let services = ask(consul, "/v1/agent/services").await.unwrap();
    services.as_object().unwrap().contains_key(name)
}

#[tokio::test]
async fn a_consul_has_the_configured_names_and_restarts_with_or_without_data() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let mut consul = Consul::of(&binary).node("larry").datacenter("east").start().await.unwrap();
    let config = ask(&consul, "/v1/agent/self").await.unwrap()["Config"].clone();
    assert_eq!((&config["NodeName"], &config["Datacenter"]), (&json!("larry"), &json!("east")));
    assert_eq!(config["Version"], binary.version());

    register(&consul, "kept").await;
    consul.kill().unwrap();
    let refused = ask(&consul, "/v1/agent/self").await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    consul.start_again(Data::Kept).await.unwrap();
    assert!(has_service(&consul, "kept").await);
    assert_eq!(consul.stop().await.unwrap().code(), Some(1), "by itself, not killed");
    consul.start_again(Data::Wiped).await.unwrap();
    assert!(!has_service(&consul, "kept").await);

    consul.freeze().unwrap();
    let answer = ask(&consul, "/v1/agent/self");
    tokio::pin!(answer);
    assert!(time::timeout(A_WHILE, &mut answer).await.is_err(), "frozen, yet it answers");
    consul.thaw().unwrap();
    answer.await.unwrap();
}

#[tokio::test]
async fn an_agent_joins_a_server() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let server = Consul::of(&binary).start().await.unwrap();
    let joining = json!({
        "server": false,
        "bootstrap": false,
        "retry_join": [server.serf_addr().to_string()],
    });
    let client = Consul::of(&binary).node("node2").config(joining).start().await.unwrap();
    let nodes = ask(&client, "/v1/catalog/nodes").await.unwrap();
    assert_eq!(nodes.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_failed_start_contains_the_log() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let settings = Consul::of(&binary).config(json!({ "no_such_setting": true }));
    let error = settings.start().await.unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[tokio::test]
async fn a_dropped_consul_is_killed_and_its_directory_removed() {
    let Some(binary) = Binary::find_or_skip() else { return };
    let consul = Consul::of(&binary).start().await.unwrap();
    let (addr, dir) = (consul.http_addr(), consul.dir.path().to_owned());
    drop(consul);
    assert!(Request::get("/").send(addr).await.is_err());
    assert!(!dir.exists());
}
