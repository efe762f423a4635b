//! Parses the command line. An error about a value is one line: the flag, the variable, the value, and the accepted format.

use std::{borrow::Cow, ffi::OsString};

use clap::{
    Command, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::redact;

/// Parses settings from arguments (the program's name first) and from the environment variables that `command` names. An empty variable
/// counts as unset, as in Consul's own programs, because docker-compose files cannot leave one out. No error and no help text shows the
/// user and password of a URL.
///
/// # Errors
/// Wrong usage, or a request for help: the caller exits with [`clap::Error::exit`], with code 2 or 0.
pub fn parse<S: FromArgMatches>(
    command: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<S, clap::Error> {
    let command = with_env_rules(command);
    let error = |err| without_secrets(one_line(err, &command));
    let matches = command.clone().try_get_matches_from(arguments).map_err(error)?;
    S::from_arg_matches(&matches).map_err(error)
}

/// Ignores empty variables, and shows no values of variables in help: they may be secret. Also in subcommands.
fn with_env_rules(command: Command) -> Command {
    command.mut_subcommands(with_env_rules).mut_args(|arg| {
        let empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if empty { arg.env(None::<&str>) } else { arg.hide_env_values(true) }
    })
}

/// Replaces clap's text about an invalid value by one line; keeps any other error.
fn one_line(error: clap::Error, command: &Command) -> clap::Error {
    let bad_value = matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue);
    let (true, Some(ContextValue::String(arg)), Some(ContextValue::String(value))) =
        (bad_value, error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
    else {
        return error;
    };
    let expected = match (std::error::Error::source(&error), error.get(ContextKind::ValidValue)) {
        (Some(cause), _) => cause.to_string(),
        (None, Some(ContextValue::Strings(words))) => format!("expected {}", words.join(" or ")),
        (None, _) => return error,
    };
    let flag = arg.split_whitespace().next().unwrap_or(arg);
    let variable = variable_of(flag, command).map(|name| format!(" ({name})")).unwrap_or_default();
    clap::Error::raw(error.kind(), format!("{flag}{variable} is {value:?}: {expected}\n"))
}

/// Hides users and passwords of URLs. The text of an error loses its colours where something is hidden.
fn without_secrets(error: clap::Error) -> clap::Error {
    let text = error.to_string();
    match redact::without_passwords(&text) {
        Cow::Borrowed(_) => error,
        Cow::Owned(shown) => {
            let shown = shown.trim_start_matches("error: ").to_owned();
            clap::Error::raw(error.kind(), shown)
        }
    }
}

/// The environment variable of a flag like `--drain`, in this command or a subcommand.
fn variable_of(flag: &str, command: &Command) -> Option<String> {
    let long = flag.strip_prefix("--")?;
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(long))
        .and_then(|arg| arg.get_env())
        .map(|name| name.to_string_lossy().into_owned())
        .or_else(|| command.get_subcommands().find_map(|below| variable_of(flag, below)))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Settings {
        #[arg(long)]
        http_addr: Option<u16>,
        #[arg(long)]
        flag: Option<bool>,
    }

    #[test]
    fn no_error_shows_a_password() {
        for arguments in [
            &["--http-addr", "http://user:secret@consul:8500"][..],
            &["--http-addr=http://user:se/cret@consul:8500"],
            &["--flag", "http://user:secret@consul:8500"],
            &["http://user:secret@consul:8500"],
            &["--http-adr=http://user:secret@consul:8500"],
            &["--http-addr", "user:secret@consul:8500"],
        ] {
            let arguments = ["program"].iter().chain(arguments).map(OsString::from);
            let text = parse::<Settings>(Settings::command(), arguments).unwrap_err().to_string();
            assert!(!text.contains("cret") && !text.contains("error: error:"), "{text}");
        }
    }
}
