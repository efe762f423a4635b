//! The licences and the sources of all dependencies, from `cargo metadata`.

use std::process::Command;

use serde_json::Value;

/// SPDX identifiers of licences that allow linking into programs under MIT or Apache-2.0.
const ALLOWED: [&str; 8] = [
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Each part of an `AND` needs an allowed alternative. In the older notation a slash means `OR`.
fn is_allowed(expression: &str) -> bool {
    expression.split(" AND ").all(|part| {
        let part = part.replace('/', " OR ");
        part.split(" OR ").any(|licence| ALLOWED.contains(&licence.trim_matches(['(', ')', ' '])))
    })
}

#[test]
fn expressions_are_evaluated() {
    let rows = [
        ("MIT", true),
        ("Unlicense/MIT", true),
        ("LGPL-2.1-or-later OR MIT", true),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("MIT AND GPL-3.0-only", false),
        ("(GPL-2.0-only OR MPL-2.0) AND MIT", false),
        ("GPL-3.0-only", false),
        ("", false),
    ];
    for (expression, allowed) in rows {
        assert_eq!(is_allowed(expression), allowed, "{expression}");
    }
}

#[test]
fn dependencies_have_allowed_licences_and_sources() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata in JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 50, "only {} packages", packages.len());
    let refused: Vec<_> = packages
        .iter()
        .filter(|package| {
            let source = &package["source"];
            !is_allowed(package["license"].as_str().unwrap_or_default())
                || !(source.is_null() || source == REGISTRY)
        })
        .map(|package| {
            format!("{}: {}, {}", package["name"], package["license"], package["source"])
        })
        .collect();
    assert!(refused.is_empty(), "dependencies with another licence or source: {refused:#?}");
}
