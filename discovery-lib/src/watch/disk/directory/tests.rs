//! The directory on a real file system.

use std::{os::unix::fs::PermissionsExt as _, process::Command};

use tempfile::TempDir;
use testkit::small_disk::SmallDisk;

use super::*;

const NAME: &str = "web-0123456789abcdef.snapshot.json";

fn directory() -> (TempDir, Directory) {
    let temporary = tempfile::tempdir().unwrap();
    let directory = Directory::open(temporary.path()).unwrap();
    (temporary, directory)
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<_> =
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_directory_is_created_and_all_in_it_is_private() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("app/discovery");
    let directory = Directory::open(&path).unwrap();
    assert_eq!((mode(&path), names(&path)), (0o700, vec![]));
    for bytes in [&b"first"[..], b"2nd"] {
        directory.write(NAME, bytes).unwrap();
        assert_eq!(directory.read(NAME).unwrap().as_deref(), Some(bytes));
        assert_eq!((mode(&path.join(NAME)), names(&path)), (0o600, vec![NAME.to_owned()]));
    }
    for _ in 0..2 {
        directory.remove(NAME).unwrap();
        assert_eq!((directory.read(NAME).unwrap(), names(&path)), (None, vec![]));
    }
}

#[test]
fn only_a_file_that_this_user_alone_can_write_is_read() {
    let (temporary, directory) = directory();
    let path = temporary.path().join(NAME);
    let check = |expected: &str| {
        let error = directory.read(NAME).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}, not {expected}");
        if fs::remove_file(&path).is_err() {
            fs::remove_dir(&path).unwrap();
        }
    };
    fs::create_dir(&path).unwrap();
    check("it is not a regular file");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    check("it is not a regular file");
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    check("Too many levels of symbolic links");
    for mode in [0o620, 0o602] {
        directory.write(NAME, b"web").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        check("another user owns it or can write it");
    }
}

#[test]
fn a_directory_that_can_not_be_used_is_an_error_that_says_what_can() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("file");
    fs::write(&file, "").unwrap();
    let dangling = temporary.path().join("dangling");
    std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
    for path in [&file, &file.join("below"), &dangling, Path::new(""), Path::new("/proc/none")] {
        let error = Directory::open(path).unwrap_err();
        let text = error.to_string();
        let start = format!("the directory for snapshots {} can't be used: ", path.display());
        let end =
            "; it must be a directory that this program may read and write, or that it may create";
        assert!(text.starts_with(&start) && text.ends_with(end), "{text}");
        assert!(error.is_setting());
    }
}

#[test]
fn files_that_nobody_asks_for_any_more_are_removed_at_the_next_start_and_no_others() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path();
    let old = "0123456789abcdef.new";
    let second = Duration::from_secs(1);
    for (name, age, stays) in [
        ("old-1.snapshot.json".to_owned(), AGE_MAX + second, false),
        ("new-1.snapshot.json".to_owned(), AGE_MAX - second * 60, true),
        (format!("web-1.snapshot.json.{old}"), TEMPORARY_AGE_MAX + second, false),
        (format!("web-2.snapshot.json.{old}"), TEMPORARY_AGE_MAX - second * 60, true),
        (format!("web.{old}"), AGE_MAX * 2, true),
        ("notes.json".to_owned(), AGE_MAX * 2, true),
    ] {
        let file = File::create(path.join(&name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
        let directory = Directory::open(path).unwrap();
        assert_eq!(path.join(&name).exists(), stays, "{name}");
        drop(directory);
    }
}

#[test]
fn the_number_of_files_is_limited_and_those_that_exist_are_still_written() {
    let (temporary, directory) = directory();
    let name = |number: usize| format!("web-{number}{SUFFIX}");
    for number in 0..FILES_MAX {
        directory.names.lock().unwrap().insert(name(number));
        fs::write(temporary.path().join(name(number)), "").unwrap();
    }
    let error = directory.write(&name(FILES_MAX), b"more").unwrap_err();
    assert_eq!(error.to_string(), "the directory has 1024 files, which is the limit");
    directory.write(&name(0), b"again").unwrap();
    directory.remove(&name(1)).unwrap();
    directory.write(&name(FILES_MAX), b"more").unwrap();
    assert_eq!(names(temporary.path()).len(), FILES_MAX);
}

#[test]
fn a_write_that_fails_is_an_error_and_leaves_nothing() {
    let (temporary, directory) = directory();
    let path = temporary.path();
    fs::create_dir(path.join(NAME)).unwrap();
    directory.write(NAME, b"new").unwrap_err();
    assert_eq!(names(path), [NAME]);
    fs::remove_dir_all(path).unwrap();
    directory.write(NAME, b"new").unwrap_err();
    fs::write(path, "").unwrap();
    directory.write(NAME, b"new").unwrap_err();
    directory.read(NAME).unwrap_err();
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
    directory.write(NAME, b"new").unwrap();
}

#[test]
fn on_a_full_disk_the_last_file_stays_as_it_was() {
    let Some(small) = SmallDisk::mount_or_skip() else { return };
    let directory = Directory::open(small.path()).unwrap();
    directory.write(NAME, b"small").unwrap();
    let error = directory.write(NAME, &[b'x'; 32 << 10]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert_eq!(directory.read(NAME).unwrap().as_deref(), Some(&b"small"[..]));
    assert_eq!(names(small.path()), [NAME]);
    directory.write(NAME, b"again").unwrap();
}
