//! Rules for the repository's own files: each source begins with a module doc, stays small, and depends only on the crates that it may; the
//! README lists every setting and command.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The maximum number of lines of a source file, without its inline tests.
const LINES_MAX: usize = 500;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("testkit is in the workspace").to_owned()
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
    assert!(found.len() > 20, "the walk found only {} files", found.len());
    found
}

#[test]
fn every_source_begins_with_a_module_doc() {
    let undocumented: Vec<_> =
        sources().into_iter().filter(|path| !read(path).starts_with("//! ")).collect();
    assert!(undocumented.is_empty(), "these do not begin with `//! `: {undocumented:#?}");
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

/// The environment variables that sources read: Consul's that the library names, those of command-line flags, and those read by name.
fn settings() -> BTreeSet<String> {
    let is_name =
        |text: &&str| !text.is_empty() && text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let mut settings = BTreeSet::new();
    let is_ours = |path: &PathBuf| !path.starts_with(root().join("testkit"));
    let is_test = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "tests");
    for path in sources().into_iter().filter(|path| is_ours(path) && !is_test(path)) {
        let text = read(&path);
        let is_library = path.starts_with(root().join("discovery-lib"));
        let reads = ["env = \"", "env::var(\"", "env::var_os(\"", "= set(\"", "match set(\""];
        let read_by_name = reads.iter().flat_map(|before| text.split(before).skip(1));
        let named = read_by_name.filter_map(|rest| rest.split('"').next());
        let consuls = text.split('"').filter(|text| is_library && text.starts_with("CONSUL_"));
        settings.extend(named.chain(consuls).filter(is_name).map(str::to_owned));
    }
    settings
}

#[test]
fn the_readme_lists_every_setting_and_command() {
    let readme = read(&root().join("README.md"));
    let settings = settings();
    for known in ["CONSUL_HTTP_ADDR", "CONSUL_HTTP_SSL", "LISTEN", "LOG_FORMAT", "RUST_LOG"] {
        assert!(settings.contains(known), "the search missed {known}: {settings:?}");
    }
    let commands = [
        "up",
        "agent",
        "services",
        "resolve",
        "watch",
        "explain",
        "doctor",
        "ambassador",
        "run",
        "register",
        "deregister",
    ];
    let missing: Vec<_> = settings
        .iter()
        .map(|setting| format!("`{setting}`"))
        .chain(commands.iter().map(|command| format!("`discovery {command}")))
        .filter(|name| !readme.contains(name))
        .collect();
    assert!(missing.is_empty(), "README.md does not list {missing:?}");
}

#[test]
fn crates_depend_only_on_the_crates_they_may() {
    let rows: [(&str, &[&str]); 13] = [
        ("consul-wire", &[]),
        ("http-connections", &[]),
        ("discovery-lib", &["consul-wire", "http-connections"]),
        ("datagrams", &[]),
        ("discovery-agent", &["consul-wire", "datagrams", "http-connections"]),
        (
            "discovery-ambassador",
            &["datagrams", "discovery-lib", "discovery-program", "http-connections"],
        ),
        ("dockercoins", &["discovery-lib", "discovery-program"]),
        ("discovery-program", &["discovery-lib"]),
        ("discovery-runner", &["discovery-lib"]),
        ("service1", &["discovery-lib", "discovery-program"]),
        ("service2", &["discovery-lib", "discovery-program"]),
        (
            "discovery-cli",
            &[
                "consul-wire",
                "discovery-agent",
                "discovery-ambassador",
                "discovery-lib",
                "discovery-program",
                "discovery-runner",
                "service1",
                "service2",
            ],
        ),
        ("testkit", &[]),
    ];
    let ours: Vec<_> = rows.iter().map(|(name, _)| *name).collect();
    for (name, may) in rows {
        let folder = match name {
            "discovery-ambassador" => "ambassador",
            "discovery-program" => "program",
            "discovery-runner" => "runner",
            "dockercoins" => "examples/dockercoins",
            name => name,
        };
        let manifest = read(&root().join(folder).join("Cargo.toml"));
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
    let libraries = [
        "consul-wire/src",
        "http-connections/src",
        "discovery-lib/src",
        "discovery-agent/src",
        "ambassador/src",
        "datagrams/src",
        "runner/src",
    ];
    // The simulation is a test.
    let may = ["discovery-lib/src/settings.rs", "discovery-lib/src/simulation"];
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

/// Names of tests are in backticks, and longer than any other word there.
#[test]
fn every_test_and_example_that_the_guide_names_exists() {
    let guide = read(&root().join("discovery-lib/src/guide/what_it_does.md"));
    let code: String = sources().iter().map(|path| read(path)).collect();
    let quoted: Vec<_> = guide.split('`').skip(1).step_by(2).collect();
    let is_name = |name: &str| name.chars().all(|c| c == '_' || c.is_ascii_lowercase());
    let tests = quoted.iter().filter(|name| is_name(name) && name.matches('_').count() >= 2);
    let missing: Vec<_> =
        tests.clone().filter(|name| !code.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
    assert!(tests.count() > 60, "the table names few tests");
    let examples = quoted.iter().filter(|name| name.starts_with("examples/"));
    let missing: Vec<_> = examples.filter(|path| !root().join(path).is_dir()).collect();
    assert!(missing.is_empty(), "no such examples: {missing:#?}");
}
