//! How a child of `up` ends with `up`, however that ends: its stdin is a pipe whose other end `up` alone holds, and never writes to.
//!
//! The kernel closes that end when `up` is gone, also by `kill -9`, and an end of file can't be missed: whoever reads later reads it too, so
//! that it does not matter how far the child had come. Killing it by a signal on the parent's death (`PR_SET_PDEATHSIG`) would come too early
//! for a child that has not asked for it yet. But a child that is stopped reads nothing: so that signal is SIGCONT, which wakes whoever has
//! been stopped and means nothing to all others. What the kernel does for a stopped process group that is orphaned (SIGHUP, SIGCONT) is no
//! help to one that is only about to stop.

use std::{
    io::{self, Read},
    process, thread,
};

/// The first argument of a child of `up`; what it is to do follows.
pub(crate) const CHILD: &str = "child";
/// What a shell says of a program that SIGHUP ended.
const EXIT_HUNG_UP: i32 = 129;

/// From here on this process ends when its stdin does. A thread of its own waits for that, so that no work of the runtime delays it.
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
