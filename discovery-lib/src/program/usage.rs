//! From what was typed to settings: a bad value is one sentence that names the flag and the variable, the value, and what would be right.

use std::ffi::OsString;

use clap::{
    Command, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Reads settings from arguments (the program's name first) and from the variables that `command` names. A variable that is set to nothing
/// counts as unset, as in Consul's own programs: composed environments can't leave one out.
///
/// # Errors
/// Wrong usage, or that help was asked for: the caller ends the program by [`clap::Error::exit`], with code 2 or 0.
pub fn parse<S: FromArgMatches>(
    command: Command,
    typed: impl IntoIterator<Item = OsString>,
) -> Result<S, clap::Error> {
    let command = without_empty_variables(command);
    let matches =
        command.clone().try_get_matches_from(typed).map_err(|err| plain(err, &command))?;
    S::from_arg_matches(&matches).map_err(|err| plain(err, &command))
}

fn without_empty_variables(command: Command) -> Command {
    command.mut_args(|arg| {
        let empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if empty { arg.env(None::<&str>) } else { arg }
    })
}

/// What clap says of a bad value, in one sentence; anything else as clap says it.
fn plain(error: clap::Error, command: &Command) -> clap::Error {
    let bad_value = matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue);
    let (true, Some(ContextValue::String(arg)), Some(ContextValue::String(value))) =
        (bad_value, error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
    else {
        return error;
    };
    let right = match (std::error::Error::source(&error), error.get(ContextKind::ValidValue)) {
        (Some(cause), _) => cause.to_string(),
        (None, Some(ContextValue::Strings(words))) => format!("it takes {}", words.join(" or ")),
        (None, _) => return error,
    };
    let flag = arg.split_whitespace().next().unwrap_or(arg);
    let variable = variable_of(flag, command).map(|name| format!(" ({name})")).unwrap_or_default();
    clap::Error::raw(error.kind(), format!("{flag}{variable} is {value:?}: {right}\n"))
}

/// The variable that stands for a flag like `--drain`, in this command or in one below it.
fn variable_of(flag: &str, command: &Command) -> Option<String> {
    let long = flag.strip_prefix("--")?;
    command
        .get_arguments()
        .find(|arg| arg.get_long() == Some(long))
        .and_then(|arg| arg.get_env())
        .map(|name| name.to_string_lossy().into_owned())
        .or_else(|| command.get_subcommands().find_map(|below| variable_of(flag, below)))
}
