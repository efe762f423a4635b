//! A process from its first line to its last: log, runtime, work, exit code.

use std::{error::Error, process::ExitCode};

use super::{log, printable};

/// What work ends in. An error is printed with its causes, as one sentence.
pub type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// The setting can't be understood, as for a wrong flag.
const EXIT_USAGE: u8 = 2;

/// Does the work on a runtime of its own, with the log going to stderr from level `fallback` up (where RUST_LOG does not say otherwise).
/// Exit code 0 when it is done, 1 when it failed, 2 when it can't be begun with these settings; why, on stderr.
pub fn start(fallback: &str, work: impl Future<Output = Outcome>) -> ExitCode {
    if let Err(text) = log(fallback) {
        return end(&text, ExitCode::from(EXIT_USAGE));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => return end(&format!("no thread can be started: {err}"), ExitCode::FAILURE),
    };
    match runtime.block_on(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            let usage = err.downcast_ref::<crate::Error>().is_some_and(crate::Error::is_setting);
            let code = if usage { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE };
            end(&chain(&*err), code)
        }
    }
}

/// An error and its causes, in one line.
pub fn chain(err: &(dyn Error + 'static)) -> String {
    let mut text = err.to_string();
    let mut next = err.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[expect(clippy::print_stderr, reason = "a program's last words are for its user, not for its log")]
fn end(text: &str, code: ExitCode) -> ExitCode {
    eprintln!("error: {}", printable(text));
    code
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn an_error_is_said_with_its_causes() {
        let cause = io::Error::other("connection refused");
        let err = crate::Error::new(crate::error::Kind::Unreachable, "GET / failed").because(cause);
        assert_eq!(chain(&err), "GET / failed: connection refused");
    }
}
