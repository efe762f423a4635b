//! Finds a real Consul, and decides what tests do without one.

use std::{
    env,
    ffi::OsString,
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
};

const NONE_FOUND: &str = "no consul found (CONSUL_BIN, PATH): tests use the embedded agent only";

/// Whether tests require a real Consul: `REQUIRE_CONSUL=1`, which continuous integration sets so that no test is skipped unnoticed.
pub fn is_required() -> bool {
    env::var_os("REQUIRE_CONSUL").is_some_and(|value| value == "1")
}

/// Prints a note for the developer, directly to stderr: the test runner captures the output of a passing test.
///
/// # Panics
///
/// Writing to stderr failed.
pub fn print_note(line: &str) {
    if let Err(error) = writeln!(io::stderr(), "{line}") {
        panic!("stderr: {error}");
    }
}

/// An executable Consul.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    path: PathBuf,
    version: String,
}

impl Binary {
    /// The one in `CONSUL_BIN`, else the first `consul` in `PATH`. Never the agent at `CONSUL_HTTP_ADDR`, which belongs to the user.
    pub fn find() -> Option<Self> {
        Self::find_in(env::var_os("CONSUL_BIN"), env::var_os("PATH"))
    }

    /// [`find`](Self::find) for tests that need a real Consul: prints once that there is none, so that they can be skipped.
    ///
    /// # Panics
    ///
    /// There is none, and [one is required](is_required).
    pub fn find_or_skip() -> Option<Self> {
        static PRINTED: Once = Once::new();
        let found = Self::find();
        if found.is_none() {
            assert!(!is_required(), "REQUIRE_CONSUL=1, but no consul found (CONSUL_BIN, PATH)");
            PRINTED.call_once(|| print_note(NONE_FOUND));
        }
        found
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version that it reports, such as `1.8.7`.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn find_in(named: Option<OsString>, path: Option<OsString>) -> Option<Self> {
        match named {
            Some(named) => Self::at(PathBuf::from(named)),
            None => env::split_paths(&path?).find_map(|dir| Self::at(dir.join("consul"))),
        }
    }

    /// `None` unless the file is executable and reports that it is Consul.
    fn at(path: PathBuf) -> Option<Self> {
        let output = Command::new(&path).arg("version").output().ok()?;
        let output = String::from_utf8(output.stdout).ok()?;
        let version = output.lines().next()?.strip_prefix("Consul v")?.to_owned();
        Some(Self { path, version })
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "consul {} ({})", self.version, self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn consul_bin_has_precedence_even_if_it_is_not_a_consul() {
        let dir = tempfile::tempdir().unwrap();
        let consul = dir.path().join("consul");
        let path = || Some(dir.path().as_os_str().to_owned());
        assert_eq!(Binary::find_in(None, path()), None, "an empty directory has none");
        fs::write(&consul, "#!/bin/sh\necho 'Consul v9.9.9'\n").unwrap();
        fs::set_permissions(&consul, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(Binary::find_in(None, path()).unwrap().version(), "9.9.9");
        assert_eq!(Binary::find_in(Some("/bin/true".into()), path()), None, "true is not a Consul");
    }
}
