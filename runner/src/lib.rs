//! Runs any program as a registered service: `discovery run`.
//!
//! The program is a child process. Each of its services is registered as soon as a probe of it succeeds, and its heartbeats pass only while
//! probes succeed. On SIGTERM or SIGINT the services leave before the program gets the signal. All other signals are passed on as they are. The
//! exit code is that of the program. Nothing is restarted: that is the task of a supervisor.
//!
//! - [`machine`](self) decides what a signal, a stop or the end of the program leads to, and `schedule` when a service is probed. Both are pure.
//! - `children` starts processes and reaps them, `signals` receives signals, `terminal` hands over the terminal.
//! - `service` keeps one service registered, `run` connects all of them.
//!
//! Unix only. On Linux the program gets SIGTERM if its wrapper is killed ([`launch`]); elsewhere it stays.

mod children;
mod error;
mod exec;
mod launch;
mod machine;
mod plan;
mod readiness;
mod run;
mod schedule;
mod service;
mod signals;
mod terminal;

pub use error::Error;
pub use launch::{LAUNCH, launch};
pub use plan::{Plan, Service};
pub use readiness::{ExpectedReadiness, Readiness};
pub use run::run;
