//! Snapshots on disk: a process that starts while Consul is away.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use discovery::{Origin, Query, Source, Watched};
use serde_json::Value;
use testkit::proxy::Mode;
use tokio::time::{Instant, sleep, timeout};

use super::until::{shown, until, until_instances};
use crate::world::{SOON, World, everywhere};

const HOUR_MS: u64 = 60 * 60 * 1000;

/// The file of a directory that holds these instances: `host:port status`.
pub(crate) async fn saved(directory: &Path, known: &[&str]) -> PathBuf {
    let waited = timeout(SOON, async {
        loop {
            let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            if let Some(path) = paths.into_iter().find(|path| held(path) == known) {
                return path;
            }
            sleep(Duration::from_millis(10)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("no file with {known:?}"))
}

/// What a file holds; nothing if it is a temporary one.
fn held(path: &Path) -> Vec<String> {
    if path.extension().is_none_or(|it| it != "json") {
        return Vec::new();
    }
    let file: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let text = |it: &Value| it.as_str().unwrap().to_owned();
    let show = |it: &Value| format!("{}:{} {}", text(&it["host"]), it["port"], text(&it["status"]));
    file["instances"].as_array().unwrap().iter().map(show).collect()
}

/// Makes the answer in a file older.
fn age(file: &Path, by_ms: u64) {
    let key = "\"as_of_unix_ms\":";
    let text = fs::read_to_string(file).unwrap();
    let (head, rest) = text.split_once(key).unwrap();
    let (as_of, tail) = rest.split_once(',').unwrap();
    let as_of = as_of.parse::<u64>().unwrap() - by_ms;
    fs::write(file, format!("{head}{key}{as_of},{tail}")).unwrap();
}

fn origin(watched: &Watched) -> Option<Origin> {
    watched.snapshot.as_ref().map(|snapshot| snapshot.origin)
}

/// A process that watches until its snapshot is on disk, and ends.
async fn run_before(world: &World, query: &Query, directory: &Path, known: &[&str]) -> PathBuf {
    let process = world.process(directory);
    until_instances(&mut process.watch(query), known).await;
    saved(directory, known).await
}

#[tokio::test]
async fn a_process_that_starts_while_consul_is_away_knows_its_peers_until_consul_is_back() {
    everywhere(async |world| {
        world.register("web", 80).await;
        world.register("web", 81).await;
        world.report("fail", "web", 81).await;
        let known = ["10.0.0.1:80 passing", "10.0.0.1:81 critical"];
        for source in [Source::Catalog, Source::Dns] {
            let query = Query::new("web").source(source.clone());
            // DNS leaves out critical ones.
            let known = if source == Source::Dns { &known[..1] } else { &known };
            for mode in [Mode::Closed, Mode::Reset, Mode::Garbage, Mode::Hang] {
                let directory = tempfile::tempdir().unwrap();
                let file = run_before(&world, &query, directory.path(), known).await;
                age(&file, 3 * HOUR_MS);
                world.away(mode).await;
                let process = world.process(directory.path());
                let mut watch = process.watch(&query);
                let first = watch.changed().await;
                assert_eq!(shown(&first), known, "{mode:?}");
                assert_eq!(origin(&first), Some(Origin::Disk), "{mode:?}");
                assert!(first.failure.is_some(), "{mode:?}");
                let age = first.snapshot.unwrap().age(Instant::now());
                assert!(age >= Duration::from_millis(3 * HOUR_MS), "{age:?}");
                world.back().await;
                let back = until(&mut watch, |it| it.failure.is_none()).await;
                assert_eq!(shown(&back), known, "{mode:?}");
                assert_ne!(origin(&back), Some(Origin::Disk), "{mode:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_first_answer_of_consul_replaces_what_is_from_disk() {
    everywhere(async |world| {
        let (old, new) = (["10.0.0.1:80 passing"], ["10.0.0.1:81 passing"]);
        world.register("web", 80).await;
        let directory = tempfile::tempdir().unwrap();
        run_before(&world, &"web".into(), directory.path(), &old).await;
        world.away(Mode::Closed).await;
        world.register("web", 81).await;
        world.deregister("web", 80).await;
        let process = world.process(directory.path());
        let mut watch = process.watch("web");
        let first = watch.changed().await;
        assert_eq!(shown(&first), old);
        assert_eq!(origin(&first), Some(Origin::Disk));
        world.back().await;
        let back = until_instances(&mut watch, &new).await;
        assert_eq!((origin(&back), back.failure.is_none()), (Some(Origin::Catalog), true));
        saved(directory.path(), &new).await;
        // A failure from now on keeps Consul's answer.
        world.away(Mode::Closed).await;
        let failed = until(&mut watch, |it| it.failure.is_some()).await;
        assert_eq!(shown(&failed), new);
        assert_eq!(origin(&failed), Some(Origin::Catalog));
    })
    .await;
}

#[tokio::test]
async fn a_query_without_a_file_of_its_own_knows_nothing() {
    let world = World::embedded().await;
    world.register("web", 80).await;
    let directory = tempfile::tempdir().unwrap();
    run_before(&world, &"web".into(), directory.path(), &["10.0.0.1:80 passing"]).await;
    world.away(Mode::Closed).await;
    let process = world.process(directory.path());
    for query in
        [Query::new("db"), Query::new("web").tag("v2"), Query::new("web").datacenter("dc2")]
    {
        let first = process.watch(&query).changed().await;
        assert!(first.snapshot.is_none() && first.failure.is_some(), "{query:?}: {first:?}");
        // The process has no answer to write either.
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
    let error = process.ask("web").await.unwrap_err();
    assert!(error.is_agent(), "a single query does not use the disk: {error}");
}

/// What a process that starts while Consul is away knows, after this was done to the file.
async fn check_file(what: &str, harm: impl AsyncFnOnce(&Path), expected: &[&str]) {
    let world = World::embedded().await;
    world.register("web", 80).await;
    let directory = tempfile::tempdir().unwrap();
    let file = run_before(&world, &"web".into(), directory.path(), &["10.0.0.1:80 passing"]).await;
    harm(&file).await;
    world.away(Mode::Closed).await;
    let process = world.process(directory.path());
    let mut watch = process.watch("web");
    let first = watch.changed().await;
    assert_eq!(shown(&first), expected, "{what}");
    assert!(first.failure.is_some(), "{what}");
    world.back().await;
    until_instances(&mut watch, &["10.0.0.1:80 passing"]).await;
}

#[tokio::test]
async fn a_file_that_can_not_be_used_does_not_disturb_the_watch() {
    let nothing = ["nothing known"];
    check_file("good", async |_| {}, &["10.0.0.1:80 passing"]).await;
    check_file("garbage", async |file| fs::write(file, "garbage").unwrap(), &nothing).await;
    let empty = async |file: &Path| {
        let text = fs::read_to_string(file).unwrap();
        let (head, _) = text.split_once("\"instances\":").unwrap();
        fs::write(file, format!("{head}\"instances\":[]}}")).unwrap();
    };
    check_file("an empty list", empty, &nothing).await;
    check_file("8 days old", async |file| age(file, 8 * 24 * HOUR_MS), &nothing).await;
    let directory = async |file: &Path| {
        fs::remove_file(file).unwrap();
        fs::create_dir(file).unwrap();
    };
    check_file("a directory in its place", directory, &nothing).await;
}

#[tokio::test]
async fn a_directory_that_disappears_does_not_disturb_the_watch() {
    let world = World::embedded().await;
    let directory = tempfile::tempdir().unwrap();
    let process = world.process(directory.path());
    fs::remove_dir_all(directory.path()).unwrap();
    let mut watch = process.watch("web");
    // It would close with the task of the watch, which the next use starts again.
    let subscribed = watch.subscribe();
    for port in 80..84 {
        world.register("web", port).await;
        until(&mut watch, |it| shown(it).len() == usize::from(port - 79)).await;
    }
    assert!(watch.current().failure.is_none());
    assert!(subscribed.has_changed().is_ok());
}
