//! The processes that the wrapper starts: the program, and the commands of probes. Both have the environment of the wrapper, without its settings.

use std::{
    ffi::OsString,
    process::{Command, Stdio},
};

use crate::{
    Error,
    children::{Child, Children},
};

/// The shell of the commands of probes.
const SHELL: &str = "/bin/sh";

/// Starts the program, with the input and the outputs of the wrapper.
///
/// # Errors
/// There is no program, or it can't be executed.
pub(crate) fn program(
    words: &[OsString],
    launcher: &[OsString],
    hidden: &[OsString],
    children: &Children,
) -> Result<Child, Error> {
    let mut words = launcher.iter().chain(words);
    let first = words.next().ok_or_else(Error::no_program)?;
    let mut command = Command::new(first);
    command.args(words);
    hide(&mut command, hidden);
    children.start(&mut command).map_err(|err| Error::exec(first, err))
}

/// Runs the command of a probe. It is killed with its group when the future is dropped.
///
/// # Errors
/// It can't be executed, or did not exit with 0.
pub(crate) async fn succeeds(
    line: &str,
    children: &Children,
    hidden: &[OsString],
) -> Result<(), String> {
    let mut command = Command::new(SHELL);
    command.arg("-c").arg(line);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    hide(&mut command, hidden);
    let mut child = children
        .start(&mut command)
        .map_err(|err| format!("its probe needs {SHELL}, which can't be executed: {err}"))?;
    match child.ended().await {
        0 => Ok(()),
        // Not the command itself: it may have a password, and everyone may read the output of a check.
        code => Err(format!("its probe exited with {code}")),
    }
}

fn hide(command: &mut Command, hidden: &[OsString]) {
    for name in hidden {
        command.env_remove(name);
    }
}
