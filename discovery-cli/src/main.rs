//! The `discovery` command.

mod command;
mod doctor;
mod lifeline;
mod look;
mod print;

use std::{env, ffi::OsString, process::ExitCode};

use clap::CommandFactory;

use command::{Arguments, Command};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    match arguments.get(1).and_then(|argument| argument.to_str()) {
        Some(lifeline::CHILD) => child(arguments),
        Some(runner::LAUNCH) => command::launch(&arguments[2..]),
        _ => run(arguments),
    }
}

/// As a child of `up`: one of the services, or this command again.
fn child(mut arguments: Vec<OsString>) -> ExitCode {
    if let Err(err) = lifeline::hold() {
        return program::start("warn", async { Err(err.into()) });
    }
    arguments.remove(1);
    match arguments.get(1).and_then(|argument| argument.to_str()) {
        Some("service1") => service1::main(arguments.split_off(1)),
        Some("service2") => service2::main(arguments.split_off(1)),
        _ => run(arguments),
    }
}

fn run(arguments: Vec<OsString>) -> ExitCode {
    match program::parse(Arguments::command(), arguments) {
        Ok(Arguments { command: Command::Run(run) }) => run.start(),
        Ok(Arguments { command }) => program::start(command.log_level(), command.run()),
        Err(stop) => stop.exit(),
    }
}
