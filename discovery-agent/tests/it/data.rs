//! Data that survives a restart.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use discovery_agent::Agent;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::requests::{get, index, instances, put, register, until};

const FILE: &str = "registrations.json";

async fn start(dir: &Path) -> Agent {
    Agent::builder().data_dir(dir).node_name("larry").start().await.unwrap()
}

#[tokio::test]
async fn registrations_survive_a_kill() {
    let dir = TempDir::new().unwrap();
    let agent = start(dir.path()).await;
    let to = agent.http_addr();
    register(to, "alive", "critical").await;
    put(to, "/v1/agent/check/pass/service:alive?note=well", &json!({})).await;
    register(to, "expired", "passing").await;
    register(to, "gone", "passing").await;
    put(to, "/v1/agent/service/deregister/gone", &json!({})).await;
    put(to, "/v1/agent/service/maintenance/expired?enable=true&reason=r", &json!({})).await;
    let before = get(to, "/v1/health/service/web").await;
    // A heartbeat is answered before it is on disk.
    until(|| saved(dir.path()).contains("well")).await;
    let node = get(to, "/v1/agent/self").await.json()["Config"]["NodeID"].clone();
    // There is no graceful stop: acknowledged changes must be on disk already.
    drop(agent);

    let agent = start(dir.path()).await;
    let to = agent.http_addr();
    assert_eq!(instances(to).await, ["alive", "expired"]);
    let checks = get(to, "/v1/agent/checks").await.json();
    let status = |id: &str| checks[id]["Status"].as_str().unwrap().to_owned();
    assert_eq!(status("service:alive"), "passing");
    assert_eq!(checks["service:alive"]["Output"], "well");
    assert_eq!(status("service:expired"), "critical", "a status is not a heartbeat");
    assert_eq!(checks["_service_maintenance:expired"]["Notes"], "r");
    assert_eq!(get(to, "/v1/agent/self").await.json()["Config"]["NodeID"], node);
    let after = get(to, "/v1/health/service/web").await;
    assert!(index(&after) >= index(&before), "{} {}", index(&after), index(&before));
}

#[tokio::test]
async fn forgotten_data_is_not_restored() {
    let dir = TempDir::new().unwrap();
    let agent = start(dir.path()).await;
    register(agent.http_addr(), "w", "passing").await;
    agent.forget_everything();
    agent.stop().await;
    let agent = start(dir.path()).await;
    assert_eq!(instances(agent.http_addr()).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_damaged_file_is_reported_with_its_remedy_and_not_changed() {
    for text in ["", "{", "[]", "{\"version\":1}", "\u{0}\u{1}"] {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("registrations.json");
        fs::write(&file, text).unwrap();
        let err = Agent::builder().data_dir(dir.path()).start().await.unwrap_err();
        assert!(err.is_data(), "{text:?}");
        let error = err.to_string();
        assert!(
            error.contains(file.to_str().unwrap()) && error.contains("move it away"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), text, "the file must not change");
    }
}

#[tokio::test]
async fn a_file_of_another_format_is_refused() {
    let dir = TempDir::new().unwrap();
    start(dir.path()).await.stop().await;
    register_and_stop(dir.path()).await;
    let file = dir.path().join("registrations.json");
    let newer = fs::read_to_string(&file).unwrap().replace("\"version\":1", "\"version\":2");
    fs::write(&file, newer).unwrap();
    let err = Agent::builder().data_dir(dir.path()).start().await.unwrap_err();
    assert!(err.is_data() && err.to_string().contains("unknown format version 2"), "{err}");
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

/// A disk that fails writes, also for root: a directory has the name of the new file. Ends with [`Full::free`].
struct Full<'a>(&'a Path);

impl<'a> Full<'a> {
    fn fill(dir: &'a Path) -> Self {
        fs::create_dir(dir.join("registrations.json.new")).unwrap();
        Self(dir)
    }

    fn free(self) {
        fs::remove_dir(self.0.join("registrations.json.new")).unwrap();
    }
}

fn saved(dir: &Path) -> String {
    fs::read_to_string(dir.join(FILE)).unwrap_or_default()
}

async fn ask(agent: &Agent, path: &str, body: &Value) -> (u16, String) {
    let answer = put(agent.http_addr(), path, body).await;
    (answer.status.as_u16(), answer.text().to_owned())
}

/// As in Consul: a registration that is answered with an error does not exist.
#[tokio::test]
async fn a_registration_that_was_not_written_is_refused_and_does_not_exist() {
    let dir = TempDir::new().unwrap();
    let agent = start(dir.path()).await;
    let full = Full::fill(dir.path());
    let cases = [
        ("service", json!({ "Name": "web", "Check": { "TTL": "1h" } })),
        ("check", json!({ "Name": "disk", "TTL": "1h" })),
    ];
    for (what, body) in &cases {
        let (status, text) = ask(&agent, &format!("/v1/agent/{what}/register"), body).await;
        assert_eq!(status, 500, "{text}");
        assert!(text.contains("could not be kept"), "{text}");
        assert_eq!(get(agent.http_addr(), "/v1/agent/services").await.text(), "{}");
        assert_eq!(get(agent.http_addr(), "/v1/agent/checks").await.text(), "{}");
    }
    full.free();
    for (what, body) in &cases {
        let (status, text) = ask(&agent, &format!("/v1/agent/{what}/register"), body).await;
        assert_eq!(status, 200, "{text}");
    }
}

#[tokio::test]
async fn failed_writes_are_repeated_once_there_is_space() {
    let dir = TempDir::new().unwrap();
    let agent = start(dir.path()).await;
    for id in ["stays", "goes"] {
        register(agent.http_addr(), id, "passing").await;
    }
    let full = Full::fill(dir.path());
    let (status, text) = ask(&agent, "/v1/agent/service/deregister/goes", &json!({})).await;
    assert_eq!(status, 500, "{text}");
    assert!(saved(dir.path()).contains("goes"));
    full.free();
    // There is no request: the agent retries by itself.
    until(|| !saved(dir.path()).contains("goes")).await;
    drop(agent);
    assert_eq!(instances(start(dir.path()).await.http_addr()).await, ["stays"]);
}

#[tokio::test]
async fn a_heartbeat_is_answered_while_writes_fail_and_written_at_the_stop() {
    let dir = TempDir::new().unwrap();
    let agent = start(dir.path()).await;
    register(agent.http_addr(), "w", "critical").await;
    let full = Full::fill(dir.path());
    let (status, text) = ask(&agent, "/v1/agent/check/pass/service:w?note=well", &json!({})).await;
    assert_eq!(status, 200, "{text}");
    full.free();
    agent.stop().await;
    assert!(saved(dir.path()).contains("well"));
}

#[tokio::test]
async fn a_registration_that_changes_nothing_needs_no_disk() {
    let dir = TempDir::new().unwrap();
    let agent = start(dir.path()).await;
    register(agent.http_addr(), "w", "passing").await;
    let full = Full::fill(dir.path());
    register(agent.http_addr(), "w", "passing").await;
    full.free();
}

/// Headers of checks often hold tokens.
#[tokio::test]
async fn data_is_readable_by_its_owner_only() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("made/for/it");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files = || fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path());
    register_and_stop(&dir).await;
    assert_eq!(mode(&dir), 0o700, "{:o}", mode(&dir));
    assert!(files().count() >= 2);
    for file in files() {
        assert_eq!(mode(&file), 0o600, "{}: {:o}", file.display(), mode(&file));
    }
    // Files of an earlier version, and of an interrupted write.
    let leftover = dir.join("registrations.json.new");
    fs::write(&leftover, "").unwrap();
    for file in [&leftover, &dir.join(FILE)] {
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    }
    let agent = start(&dir).await;
    assert_eq!(mode(&dir.join(FILE)), 0o600, "as soon as it is read");
    register(agent.http_addr(), "more", "passing").await;
    assert_eq!(
        mode(&dir.join(FILE)),
        0o600,
        "written again, beside a leftover that was open to all"
    );
}
