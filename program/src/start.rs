//! The life of a process: logging, runtime, work, exit code.

use std::{error::Error, fmt, process::ExitCode};

use super::{log, printable};

/// The result of a program. An error is printed with its causes on one line.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

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
    if let Err(text) = log(fallback) {
        return end(&text, ExitCode::from(EXIT_USAGE));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => {
            return end(&format!("cannot start a runtime thread: {err}"), ExitCode::FAILURE);
        }
    };
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            let usage = err.is::<Usage>()
                || err.downcast_ref::<discovery::Error>().is_some_and(discovery::Error::is_setting);
            let code = if usage { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE };
            end(&chain(&*err), code)
        }
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

#[expect(clippy::print_stderr, reason = "the final error is for the user, not for the log")]
fn end(text: &str, code: ExitCode) -> ExitCode {
    eprintln!("error: {}", printable(text));
    code
}

#[cfg(test)]
mod tests {
    use std::{io, num::ParseIntError};

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
