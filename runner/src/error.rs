//! The failures of the wrapper itself. What the program does is not one: its exit code is passed on.

use std::{ffi::OsStr, fmt, io, net::SocketAddr};

/// The exit code of a failure of the wrapper, as of `docker run`, `env` and `timeout`.
const OWN_FAILURE: u8 = 125;
/// The exit code for a program that was found but can't be executed, as of a shell.
const NOT_EXECUTABLE: u8 = 126;
/// The exit code for a program that was not found, as of a shell.
const NOT_FOUND: u8 = 127;

/// A failure of the wrapper.
#[derive(Debug)]
pub struct Error(Kind);

#[derive(Debug)]
enum Kind {
    /// The program could not be executed.
    Exec { program: String, cause: io::Error },
    /// There is no program to run.
    NoProgram,
    /// The wrapper ended before its program started.
    ParentEnded,
    /// Another process listens where the program should.
    InUse { service: String, at: SocketAddr },
    /// The process can't listen for signals.
    Signals(io::Error),
    /// A registration is wrong, or could not be kept.
    Registration(discovery::Error),
}

impl Error {
    pub(crate) fn exec(program: &OsStr, cause: io::Error) -> Self {
        Self(Kind::Exec { program: program.to_string_lossy().into_owned(), cause })
    }

    pub(crate) fn no_program() -> Self {
        Self(Kind::NoProgram)
    }

    pub(crate) fn parent_ended() -> Self {
        Self(Kind::ParentEnded)
    }

    pub(crate) fn in_use(service: &str, at: SocketAddr) -> Self {
        Self(Kind::InUse { service: service.to_owned(), at })
    }

    pub(crate) fn signals(cause: io::Error) -> Self {
        Self(Kind::Signals(cause))
    }

    /// The exit code of the wrapper: 127 if the program was not found, 126 if it can't be executed, otherwise 125.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match &self.0 {
            Kind::Exec { cause, .. } if is_not_found(cause) => NOT_FOUND,
            Kind::Exec { .. } => NOT_EXECUTABLE,
            Kind::NoProgram
            | Kind::ParentEnded
            | Kind::InUse { .. }
            | Kind::Signals(_)
            | Kind::Registration(_) => OWN_FAILURE,
        }
    }
}

fn is_not_found(err: &io::Error) -> bool {
    err.kind() == io::ErrorKind::NotFound
}

impl From<discovery::Error> for Error {
    fn from(err: discovery::Error) -> Self {
        Self(Kind::Registration(err))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Exec { program, cause } if is_not_found(cause) && program.contains('/') => {
                write!(f, "{program:?} was not found")
            }
            Kind::Exec { program, cause } if is_not_found(cause) => {
                write!(f, "{program:?} was not found in PATH")
            }
            Kind::Exec { program, cause } => write!(f, "{program:?} can't be executed: {cause}"),
            Kind::NoProgram => f.write_str("no program to run"),
            Kind::ParentEnded => f.write_str("the wrapper ended before its program started"),
            Kind::InUse { service, at } => write!(
                f,
                "another process already listens on {at}, the port of {service}: stop it, or give the program another port"
            ),
            Kind::Signals(cause) => write!(f, "can't listen for signals: {cause}"),
            Kind::Registration(err) => err.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Kind::Registration(err) => err.source(),
            // The others have their cause in their text.
            Kind::NoProgram
            | Kind::ParentEnded
            | Kind::Exec { .. }
            | Kind::InUse { .. }
            | Kind::Signals(_) => None,
        }
    }
}
