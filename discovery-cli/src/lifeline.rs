//! How a child of `up` ends with `up`, however that ends: its stdin is a pipe whose other end `up` alone holds, and never writes to.
//!
//! The kernel closes that end when `up` is gone, also by `kill -9`, and an end of file can't be missed: whoever reads later reads it too, so
//! that it does not matter how far the child had come. A signal on the parent's death (`PR_SET_PDEATHSIG`) would be Linux's alone, and
//! comes too early for a child that has not asked for it yet. A child that is stopped is woken by the kernel, with the SIGHUP and SIGCONT
//! that a stopped process group gets when nobody is left to continue it.

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
