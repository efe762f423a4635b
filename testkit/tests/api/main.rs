//! The public API of the published libraries, as golden files: a change of the API is a change of a file in the same commit.
//!
//! A listing is derived from the source: every public item that can be reached from `lib.rs`, its public fields and methods, the traits that it
//! implements, and the attributes that a caller notices. Function bodies, private items and documentation are left out. Not seen: what macros
//! expand to, and auto traits such as `Send`.

mod listing;
mod render;
mod tree;

use std::{env, fs, path::Path};

/// If it is set, the golden files are written instead of compared.
const UPDATE: &str = "UPDATE_API";

/// Compares a crate's listing with its golden file, `api.txt` in the crate's directory.
#[track_caller]
fn check(package: &str, library: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("testkit is in the workspace");
    let golden = root.join(package).join("api.txt");
    let now = listing::of(&root.join(package), library);
    if env::var_os(UPDATE).is_some() {
        fs::write(&golden, &now).unwrap_or_else(|err| panic!("{}: {err}", golden.display()));
        return;
    }
    let before = fs::read_to_string(&golden).unwrap_or_default();
    if before == now {
        return;
    }
    let only_in = |one: &str, other: &str, mark: char| -> String {
        let other: Vec<&str> = other.lines().collect();
        let lines = one.lines().filter(|line| !other.contains(line));
        lines.map(|line| format!("{mark} {line}\n")).collect()
    };
    panic!(
        "the public API of {package} differs from {package}/api.txt:\n{}{}\
         If the change is intended, update the file and commit it:\n\
         {UPDATE}=1 cargo test -p testkit --test api",
        only_in(&before, &now, '-'),
        only_in(&now, &before, '+'),
    );
}

#[test]
fn the_api_of_the_library_is_as_listed() {
    check("discovery-lib", "discovery");
}

#[test]
fn the_api_of_the_agent_is_as_listed() {
    check("discovery-agent", "discovery_agent");
}

/// A crate with every kind of item that the listing supports, in `tests/api/sample`.
#[test]
fn a_listing_follows_modules_and_reexports() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/sample");
    let expected = fs::read_to_string(sample.join("api.txt")).unwrap_or_default();
    let listing = listing::of(&sample, "sample");
    assert_eq!(listing, expected, "the listing is:\n{listing}");
}
