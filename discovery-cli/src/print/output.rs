//! Writing to stdout, with an error instead of a panic when the reader has closed it, and to stderr.

use std::io::{self, Write};

/// Writes a text unchanged.
pub(crate) fn write_stdout(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Writes a line to stderr. Errors are ignored.
pub(crate) fn write_stderr(line: &str) {
    writeln!(io::stderr().lock(), "{line}").ok();
}
