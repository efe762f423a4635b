//! What to run, and as what: plain data.

use std::{ffi::OsString, time::Duration};

use discovery::Registration;

use crate::Readiness;

/// A program and its services.
#[derive(Debug)]
pub struct Plan {
    /// The program and its arguments. It is searched in PATH if it has no slash.
    pub command: Vec<OsString>,
    /// The environment variables that the program does not inherit. All others it does.
    pub hidden: Vec<OsString>,
    /// The services that it has, each on its own port.
    pub services: Vec<Service>,
    /// The time from the start of the shutdown, when the services leave, until the program gets the signal.
    pub drain: Duration,
    /// Words to start the program with, instead of directly: a command that ends in a call of [`launch`](crate::launch()) with the rest. Empty:
    /// directly, so the program outlives a wrapper that is killed.
    pub launcher: Vec<OsString>,
}

/// A service of the program.
#[derive(Debug)]
pub struct Service {
    /// Its registration. Its local address is where the program listens.
    pub registration: Registration,
    /// What decides whether it is healthy.
    pub readiness: Readiness,
}
