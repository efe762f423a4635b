//! The step between the wrapper and its program: the child asks the kernel for SIGTERM at the end of its parent, then becomes the program.
//!
//! A wrapper that is killed can't end its program. A program that stayed would be in no catalog, hold its port and keep the next start from
//! listening there. Only the child itself can ask for that signal, between `fork` and `exec`.

use std::{
    convert::Infallible, ffi::OsString, os::unix::process::CommandExt as _, process::Command,
};

use crate::Error;

/// The first argument of a command that is to call [`launch`] with the rest of its arguments. Not for users.
pub const LAUNCH: &str = "__launch";

/// Becomes the program `words`, which gets SIGTERM when the process `parent` ends. On systems other than Linux it does not.
///
/// The kernel watches the thread that started this process, so [`run`](crate::run()) belongs on a thread that lives as long as its process: the
/// main thread.
///
/// # Errors
/// It can't be executed. Otherwise this function does not return.
pub fn launch(parent: u32, words: &[OsString]) -> Result<Infallible, Error> {
    let (program, arguments) = words.split_first().ok_or_else(Error::no_program)?;
    if !ends_with(parent) {
        return Err(Error::parent_ended());
    }
    Err(Error::exec(program, Command::new(program).args(arguments).exec()))
}

/// Returns false if the parent has ended already.
#[cfg(target_os = "linux")]
fn ends_with(parent: u32) -> bool {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    if let Err(err) = set_parent_process_death_signal(Some(Signal::TERM)) {
        tracing::warn!(error = %err, "the program will outlive a wrapper that is killed");
    }
    getppid().is_some_and(|pid| pid.as_raw_nonzero().get().cast_unsigned() == parent)
}

#[cfg(not(target_os = "linux"))]
fn ends_with(_parent: u32) -> bool {
    true
}
