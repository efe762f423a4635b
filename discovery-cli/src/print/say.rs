//! Writing to stdout, where an end of the reader is an error and no panic, and to stderr.

use std::io::{self, Write};

/// Writes a text as it is.
pub(crate) fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes a line to stderr. Where nobody reads that, nobody can be told.
pub(crate) fn complain(line: &str) {
    writeln!(io::stderr().lock(), "{line}").ok();
}
