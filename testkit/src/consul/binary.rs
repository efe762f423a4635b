//! Where a real Consul is found, and what tests do where there is none.

use std::{
    env,
    ffi::OsString,
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
};

const NONE_FOUND: &str = "no consul found (PATH, CONSUL_BIN): rows run on the embedded agent alone";

/// Whether tests must find a real Consul: `REQUIRE_CONSUL=1`, as continuous integration sets it so that no test is skipped in silence.
pub fn is_required() -> bool {
    env::var_os("REQUIRE_CONSUL").is_some_and(|value| value == "1")
}

/// Tells whoever runs the tests. Straight to stderr: the test runner keeps what a passing test prints to itself.
///
/// # Panics
///
/// Nothing can be written there.
pub fn say(line: &str) {
    if let Err(error) = writeln!(io::stderr(), "{line}") {
        panic!("stderr: {error}");
    }
}

/// A Consul that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    path: PathBuf,
    version: String,
}

impl Binary {
    /// The one that `CONSUL_BIN` names, else the first `consul` of `PATH`. Never the agent that `CONSUL_HTTP_ADDR` names: that is
    /// somebody's.
    pub fn find() -> Option<Self> {
        Self::find_in(env::var_os("CONSUL_BIN"), env::var_os("PATH"))
    }

    /// [`find`](Self::find) for tests that want a real Consul: says once that there is none, so that they can be skipped.
    ///
    /// # Panics
    ///
    /// There is none though [one is required](is_required).
    pub fn find_or_skip() -> Option<Self> {
        static SAID: Once = Once::new();
        let found = Self::find();
        if found.is_none() {
            assert!(!is_required(), "REQUIRE_CONSUL=1, but no consul found (CONSUL_BIN, PATH)");
            SAID.call_once(|| say(NONE_FOUND));
        }
        found
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says it is, as `1.8.7`.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn find_in(named: Option<OsString>, path: Option<OsString>) -> Option<Self> {
        match named {
            Some(named) => Self::at(PathBuf::from(named)),
            None => env::split_paths(&path?).find_map(|dir| Self::at(dir.join("consul"))),
        }
    }

    /// `None` unless what is there runs and says that it is Consul.
    fn at(path: PathBuf) -> Option<Self> {
        let said = Command::new(&path).arg("version").output().ok()?;
        let said = String::from_utf8(said.stdout).ok()?;
        let version = said.lines().next()?.strip_prefix("Consul v")?.to_owned();
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
    fn the_named_one_is_taken_even_if_it_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let consul = dir.path().join("consul");
        let path = || Some(dir.path().as_os_str().to_owned());
        assert_eq!(Binary::find_in(None, path()), None, "an empty directory has none");
        fs::write(&consul, "#!/bin/sh\necho 'Consul v9.9.9'\n").unwrap();
        fs::set_permissions(&consul, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(Binary::find_in(None, path()).unwrap().version(), "9.9.9");
        assert_eq!(Binary::find_in(Some("/bin/true".into()), path()), None, "true is no Consul");
    }
}
