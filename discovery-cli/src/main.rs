//! The `discovery` command.

mod command;
mod lifeline;
mod look;
mod print;

use std::{env, ffi::OsString, process::ExitCode};

use clap::CommandFactory;

use command::Arguments;

fn main() -> ExitCode {
    let typed: Vec<OsString> = env::args_os().collect();
    match typed.get(1).and_then(|word| word.to_str()) {
        Some(lifeline::CHILD) => child(typed),
        _ => act(typed),
    }
}

/// As a child of `up`: one of the services, or this command again.
fn child(mut typed: Vec<OsString>) -> ExitCode {
    if let Err(err) = lifeline::hold() {
        return program::start("warn", async { Err(err.into()) });
    }
    typed.remove(1);
    match typed.get(1).and_then(|word| word.to_str()) {
        Some("service1") => service1::main(typed.split_off(1)),
        Some("service2") => service2::main(typed.split_off(1)),
        _ => act(typed),
    }
}

fn act(typed: Vec<OsString>) -> ExitCode {
    match program::parse(Arguments::command(), typed) {
        Ok(Arguments { command }) => program::start(command.log_level(), command.run()),
        Err(stop) => stop.exit(),
    }
}
