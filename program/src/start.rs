//! The life of a process: logging, runtime, work, exit code.

use std::{
    error::Error,
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use tokio::runtime::Builder;

use super::{log, printable};

/// The result of a program. An error is printed with its causes on one line.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// The exit code of a program, or the one for an error, which is printed.
pub type Coded = Result<u8, (u8, Box<dyn Error + Send + Sync>)>;

/// The exit code for a failure.
const EXIT_FAILURE: u8 = 1;
/// The exit code for an invalid setting, as for a wrong flag.
const EXIT_USAGE: u8 = 2;

/// Wrong usage that shows only after the arguments are parsed: exit code 2.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

/// Runs `work` on a new multi-threaded runtime, with logging to stderr ([`log`]) at level `fallback` unless RUST_LOG is set.
///
/// Returns exit code 0 on success, 1 on failure, 2 for an invalid setting. The error is printed on stderr.
pub fn start(fallback: &str, work: impl Future<Output = Outcome>) -> ExitCode {
    let failed = |err: &(dyn Error + 'static)| {
        let usage = err.is::<Usage>()
            || err.downcast_ref::<discovery::Error>().is_some_and(discovery::Error::is_setting);
        if usage { EXIT_USAGE } else { EXIT_FAILURE }
    };
    let work = async { work.await.map(|()| 0).map_err(|err| (failed(&*err), err)) };
    begin(fallback, EXIT_FAILURE, Builder::new_multi_thread(), work)
}

/// Runs `work` on the main thread alone, with logging as by [`start`], for a program with exit codes of its own: `work` returns one. Without a
/// runtime it is `failed`.
pub fn start_with_code(fallback: &str, failed: u8, work: impl Future<Output = Coded>) -> ExitCode {
    begin(fallback, failed, Builder::new_current_thread(), work)
}

fn begin(
    fallback: &str,
    failed: u8,
    mut builder: Builder,
    work: impl Future<Output = Coded>,
) -> ExitCode {
    if let Err(text) = log(fallback) {
        return end(&text, EXIT_USAGE);
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => return end(&format!("cannot start a runtime: {err}"), failed),
    };
    match runtime.block_on(work) {
        Ok(code) => code.into(),
        Err((code, err)) => end(&chain(&*err), code),
    }
}

/// An error and its causes on one line.
pub fn chain(err: &(dyn Error + 'static)) -> String {
    let mut text = err.to_string();
    let mut next = err.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Prints an error with its causes, for a program that has no work to start. Returns the exit code.
pub fn failed(err: &(dyn Error + 'static), code: u8) -> ExitCode {
    end(&chain(err), code)
}

/// The line is written at once: other processes may write to the same place.
fn end(text: &str, code: u8) -> ExitCode {
    let line = format!("error: {}\n", printable(text));
    // There is no other place to report that stderr is closed.
    io::stderr().write_all(line.as_bytes()).ok();
    code.into()
}

#[cfg(test)]
mod tests {
    use std::num::ParseIntError;

    use super::*;

    #[derive(Debug)]
    struct Failed(ParseIntError);

    impl fmt::Display for Failed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("invalid port")
        }
    }

    impl Error for Failed {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_is_printed_with_its_causes() {
        let parts: Result<u16, _> = "x".parse();
        let err = io::Error::other(Failed(parts.unwrap_err()));
        assert_eq!(chain(&err), "invalid port: invalid digit found in string");
    }
}
