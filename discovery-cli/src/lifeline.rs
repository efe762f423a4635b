//! A child of `up` stops when `up` ends for any reason: its stdin is a pipe whose other end only `up` holds, and never writes to.
//!
//! The kernel closes that end when `up` is gone, also after `kill -9`. The end of file is not lost if the child reads it late, so it works at
//! any point of the child's start. A signal on the parent's death (`PR_SET_PDEATHSIG`) could come before the child has requested it. But a
//! stopped child reads nothing: so that signal is SIGCONT, which resumes a stopped process and has no effect on others. The
//! signals of the kernel to an orphaned process group that is stopped (SIGHUP, SIGCONT) do not help
//! if a process of the group is stopped only later.

use std::{
    io::{self, Read},
    process, thread,
};

/// The first argument of a child of `up`; the others are its command line.
pub(crate) const CHILD: &str = "child";
/// The exit code that a shell reports after SIGHUP.
const EXIT_HUNG_UP: i32 = 129;

/// From now on this process ends when its stdin is closed. A separate thread waits for that, so that the runtime can't delay it.
pub(crate) fn hold() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::CONT))?;
    thread::Builder::new().name("lifeline".into()).spawn(|| {
        while holds(io::stdin().lock().read(&mut [0; 64])) {}
        process::exit(EXIT_HUNG_UP);
    })?;
    Ok(())
}

fn holds(read: io::Result<usize>) -> bool {
    match read {
        Ok(bytes) => bytes > 0,
        Err(err) => err.kind() == io::ErrorKind::Interrupted,
    }
}
