//! Hostile files: each is not used, with one warning.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use tempfile::TempDir;
use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
    subscriber::set_default,
};

use super::*;
use crate::{Instance, Origin, Query, Status, agent::AgentSettings, watch::Snapshots};

/// Counts the warnings of this thread.
#[derive(Debug, Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct World {
    dir: TempDir,
    snapshots: Snapshots,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(dir.path(), &AgentSettings::default()).unwrap();
        Self { dir, snapshots }
    }

    fn file(&self, service: &str) -> SnapshotFile {
        self.snapshots.file(&Query::new(service))
    }
}

fn answer() -> Arc<Snapshot> {
    let instances = [Status::Passing, Status::Critical]
        .map(|status| Arc::new(Instance::at("web", "10.0.0.1".into(), 80).status(status)));
    let an_hour_ago = Instant::now() - Duration::from_secs(60 * 60);
    Arc::new(Snapshot::new(instances, Origin::Catalog, an_hour_ago))
}

/// Reads the file of `web` after this was done to a good one.
async fn check(what: &str, harm: impl FnOnce(&World, &Path), is_used: bool) {
    let world = World::new();
    let file = world.file("web");
    file.save(answer()).await.unwrap();
    harm(&world, &file.path());
    let warnings = Warnings::default();
    let guard = set_default(warnings.clone());
    let loaded = file.load().await;
    drop(guard);
    let expected = if is_used { (true, 0) } else { (false, 1) };
    assert_eq!((loaded.is_some(), warnings.0.load(Relaxed)), expected, "{what}: {loaded:?}");
}

fn edit(path: &Path, before: &str, after: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(before), "{before} in {text}");
    fs::write(path, text.replace(before, after)).unwrap();
}

fn aside(path: &Path) -> PathBuf {
    let aside = path.with_extension("aside");
    fs::rename(path, &aside).unwrap();
    aside
}

#[tokio::test]
async fn a_hostile_file_is_not_used_and_logged_once() {
    check("good", |_, _| {}, true).await;
    let half = |_: &World, path: &Path| {
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    };
    check("half", half, false).await;
    check("empty", |_, path| fs::write(path, "").unwrap(), false).await;
    check("garbage", |_, path| fs::write(path, [0xff; 100]).unwrap(), false).await;
    check("version", |_, path| edit(path, "\"version\":1", "\"version\":2"), false).await;
    check(
        "query",
        |_, path| edit(path, "\"service\":\"web\",\"is", "\"service\":\"db\",\"is"),
        false,
    )
    .await;
    let other = |world: &World, path: &Path| {
        fs::rename(path, world.file("db").path()).unwrap();
        fs::copy(world.file("db").path(), path).unwrap();
        edit(path, "\"tags\":[],\"filter\"", "\"tags\":[\"v2\"],\"filter\"");
    };
    check("other query", other, false).await;
    let huge = |_: &World, path: &Path| {
        File::options().write(true).open(path).unwrap().set_len(1 << 30).unwrap();
    };
    check("huge", huge, false).await;
    let directory = |_: &World, path: &Path| {
        aside(path);
        fs::create_dir(path).unwrap();
    };
    check("directory", directory, false).await;
    check("link", |_, path| symlink(aside(path), path).unwrap(), false).await;
    let pipe = |_: &World, path: &Path| {
        aside(path);
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    check("pipe", pipe, false).await;
    let open = |_: &World, path: &Path| {
        fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
    };
    check("open to all", open, false).await;
    // Root can read any file, but then it belongs to another user.
    let unreadable = |_: &World, path: &Path| {
        fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
        if rustix::process::geteuid().is_root() {
            chown(path, Some(65_534), None).unwrap();
        }
    };
    check("unreadable", unreadable, false).await;
    check("empty list", |_, path| edit_to_empty_list(path), false).await;
}

fn edit_to_empty_list(path: &Path) {
    let text = fs::read_to_string(path).unwrap();
    let (head, _) = text.split_once("\"instances\":").unwrap();
    fs::write(path, format!("{head}\"instances\":[]}}")).unwrap();
}

#[tokio::test]
async fn without_a_file_there_is_nothing_to_warn_of() {
    let world = World::new();
    let warnings = Warnings::default();
    let guard = set_default(warnings.clone());
    assert_eq!(world.file("web").load().await, None);
    drop(guard);
    assert_eq!(warnings.0.load(Relaxed), 0);
    drop(world.dir);
}

#[tokio::test]
async fn a_snapshot_is_read_as_it_was_written_and_an_empty_one_is_no_file() {
    let world = World::new();
    let file = world.file("web");
    let written = answer();
    file.save(written.clone()).await.unwrap();
    let read = file.load().await.unwrap();
    assert_eq!((&read.instances, read.origin), (&written.instances, Origin::Disk));
    let now = Instant::now();
    let minutes = read.age(now).as_secs() / 60;
    assert!((59..120).contains(&minutes), "{minutes} min");
    let empty = Snapshot::new([], Origin::Catalog, now);
    file.save(Arc::new(empty)).await.unwrap();
    assert!(!file.path().exists());
}
