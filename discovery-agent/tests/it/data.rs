//! What survives a restart.

use std::{fs, path::Path};

use discovery_agent::Agent;
use serde_json::json;
use tempfile::TempDir;

use crate::talk::{get, index, instances, put, register};

async fn start(dir: &Path) -> Agent {
    Agent::builder().data_dir(dir).node_name("larry").start().await.unwrap()
}

#[tokio::test]
async fn registrations_survive_a_kill() {
    let dir = TempDir::new().unwrap();
    let agent = start(dir.path()).await;
    let to = agent.http_addr();
    register(to, "beaten", "critical").await;
    put(to, "/v1/agent/check/pass/service:beaten?note=well", &json!({})).await;
    register(to, "unbeaten", "passing").await;
    register(to, "gone", "passing").await;
    put(to, "/v1/agent/service/deregister/gone", &json!({})).await;
    put(to, "/v1/agent/service/maintenance/unbeaten?enable=true&reason=r", &json!({})).await;
    let before = get(to, "/v1/health/service/web").await;
    let node = get(to, "/v1/agent/self").await.json()["Config"]["NodeID"].clone();
    // It has no time to say goodbye: what it answered for must be on disk already.
    drop(agent);

    let agent = start(dir.path()).await;
    let to = agent.http_addr();
    assert_eq!(instances(to).await, ["beaten", "unbeaten"]);
    let checks = get(to, "/v1/agent/checks").await.json();
    let status = |id: &str| checks[id]["Status"].as_str().unwrap().to_owned();
    assert_eq!(status("service:beaten"), "passing");
    assert_eq!(checks["service:beaten"]["Output"], "well");
    assert_eq!(status("service:unbeaten"), "critical", "a status is no beat");
    assert_eq!(checks["_service_maintenance:unbeaten"]["Notes"], "r");
    assert_eq!(get(to, "/v1/agent/self").await.json()["Config"]["NodeID"], node);
    let after = get(to, "/v1/health/service/web").await;
    assert!(index(&after) >= index(&before), "{} {}", index(&after), index(&before));
}

#[tokio::test]
async fn what_is_forgotten_stays_forgotten() {
    let dir = TempDir::new().unwrap();
    let agent = start(dir.path()).await;
    register(agent.http_addr(), "w", "passing").await;
    agent.forget_everything();
    agent.stop().await;
    let agent = start(dir.path()).await;
    assert_eq!(instances(agent.http_addr()).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_damaged_file_is_named_with_its_remedy_and_left_alone() {
    for text in ["", "{", "[]", "{\"version\":1}", "\u{0}\u{1}"] {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("registrations.json");
        fs::write(&file, text).unwrap();
        let err = Agent::builder().data_dir(dir.path()).start().await.unwrap_err();
        assert!(err.is_data(), "{text:?}");
        let said = err.to_string();
        assert!(said.contains(file.to_str().unwrap()) && said.contains("move it away"), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "somebody may want to mend it");
    }
}

#[tokio::test]
async fn a_file_of_another_form_is_not_guessed_at() {
    let dir = TempDir::new().unwrap();
    start(dir.path()).await.stop().await;
    register_and_stop(dir.path()).await;
    let file = dir.path().join("registrations.json");
    let newer = fs::read_to_string(&file).unwrap().replace("\"version\":1", "\"version\":2");
    fs::write(&file, newer).unwrap();
    let err = Agent::builder().data_dir(dir.path()).start().await.unwrap_err();
    assert!(err.is_data() && err.to_string().contains("unknown form 2"), "{err}");
}

async fn register_and_stop(dir: &Path) {
    let agent = start(dir).await;
    register(agent.http_addr(), "w", "passing").await;
    agent.stop().await;
}

#[tokio::test]
async fn a_directory_belongs_to_one_agent() {
    let dir = TempDir::new().unwrap();
    let first = start(dir.path()).await;
    let err = Agent::builder().data_dir(dir.path()).start().await.unwrap_err();
    assert!(err.is_data() && err.to_string().contains("another agent"), "{err}");
    first.stop().await;
    start(dir.path()).await;
}

#[tokio::test]
async fn what_could_not_be_kept_is_not_said_to_be_done() {
    let dir = TempDir::new().unwrap();
    let agent = start(dir.path()).await;
    fs::remove_dir_all(dir.path()).unwrap();
    let service = json!({ "Name": "web" });
    let answer = put(agent.http_addr(), "/v1/agent/service/register", &service).await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("could not be kept"), "{}", answer.text());
}
