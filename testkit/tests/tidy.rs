//! What the house asks of its own files, as far as a test can see: a first line that says what a file is, files that stay small, settings
//! and commands that the README names, crates that know only the crates they may.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines of a source file, its tests left out, above which it holds more than one idea.
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("testkit stands in the workspace")
        .to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// Every Rust source of the workspace.
fn sources() -> Vec<PathBuf> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    assert!(found.len() > 20, "the walk lost its way: {} files", found.len());
    found
}

#[test]
fn every_source_says_what_it_is() {
    let silent: Vec<_> =
        sources().into_iter().filter(|path| !read(path).starts_with("//! ")).collect();
    assert!(silent.is_empty(), "these do not open with `//! `: {silent:#?}");
}

#[test]
fn every_source_is_small() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|path| {
            let text = read(&path);
            let code =
                text.find("#[cfg(test)]\nmod tests {").map_or(text.as_str(), |at| &text[..at]);
            (code.lines().count(), path)
        })
        .filter(|(lines, _)| *lines > LINES_MAX)
        .collect();
    assert!(long.is_empty(), "these have more than {LINES_MAX} lines: {long:#?}");
}

#[test]
fn the_readme_names_every_setting_and_command() {
    let readme = read(&root().join("README.md"));
    let settings = [
        "CONSUL_HTTP_ADDR",
        "CONSUL_HTTP_TOKEN",
        "CONSUL_HTTP_TOKEN_FILE",
        "CONSUL_HTTP_AUTH",
        "CONSUL_NAMESPACE",
        "CONSUL_PARTITION",
        "CONSUL_DNS_ADDR",
        "LISTEN",
        "ADVERTISE",
        "SERVICE_NAME",
        "SERVICE_ID",
        "UPSTREAM",
        "RESOLVE",
        "DRAIN",
        "ADMIN",
        "RUST_LOG",
        "LOG_FORMAT",
        "NO_COLOR",
    ];
    let commands = ["up", "agent", "services", "resolve", "watch"];
    let missing: Vec<_> = settings
        .iter()
        .map(|setting| format!("`{setting}`"))
        .chain(commands.iter().map(|command| format!("`discovery {command}")))
        .filter(|name| !readme.contains(name))
        .collect();
    assert!(missing.is_empty(), "README.md does not name {missing:?}");
}

#[test]
fn crates_know_only_the_crates_they_may() {
    let rows: [(&str, &[&str]); 7] = [
        ("consul-wire", &[]),
        ("discovery-lib", &["consul-wire"]),
        ("discovery-agent", &["consul-wire"]),
        ("service1", &["discovery-lib"]),
        ("service2", &["discovery-lib"]),
        (
            "discovery-cli",
            &["consul-wire", "discovery-agent", "discovery-lib", "service1", "service2"],
        ),
        ("testkit", &[]),
    ];
    let ours: Vec<_> = rows.iter().map(|(name, _)| *name).collect();
    for (name, may) in rows {
        let manifest = read(&root().join(name).join("Cargo.toml"));
        let dependencies = manifest
            .split("[dependencies]")
            .nth(1)
            .and_then(|rest| rest.split("\n[").next())
            .unwrap_or("");
        for other in &ours {
            let uses =
                dependencies.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(other));
            assert!(!uses || may.contains(other), "{name} may not depend on {other}");
        }
    }
}

#[test]
fn libraries_neither_print_nor_exit_nor_read_the_environment() {
    let libraries = ["consul-wire/src", "discovery-lib/src", "discovery-agent/src"];
    let may = ["discovery-lib/src/program", "discovery-lib/src/settings.rs"];
    let is_under = |path: &Path, places: &[&str]| {
        places.iter().any(|place| path.starts_with(root().join(place)))
    };
    for path in
        sources().into_iter().filter(|path| is_under(path, &libraries) && !is_under(path, &may))
    {
        for (number, line) in read(&path).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let bad = ["env::var", "process::exit", "print!", "println!"]
                .iter()
                .any(|word| code.contains(word));
            assert!(!bad, "{}:{}: {line}", path.display(), number + 1);
        }
    }
}
