//! `faulty`: the fault proxy for shell scripts. Prints its address, then executes one command per line of standard input, until that ends.

use std::{
    io::{self, stdin},
    net::SocketAddr,
    process::ExitCode,
};

use clap::Parser;
use testkit::proxy::{Mode, Proxy};

/// Proxies a server and injects faults on command: each line of standard input is `pass`, `reset`, `closed`, `hang`, `garbage` or an HTTP
/// status, and is echoed once it is applied.
#[derive(Debug, Parser)]
struct Arguments {
    /// `IP:PORT` of the server
    upstream: SocketAddr,
}

// The proxy has a thread of its own, since this one waits for standard input.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
#[expect(clippy::print_stderr, reason = "a command's answer")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("faulty: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command's answer")]
async fn run(arguments: Arguments) -> io::Result<()> {
    let proxy = Proxy::start(arguments.upstream).await?;
    println!("{}", proxy.addr());
    for line in stdin().lines() {
        let line = line?;
        proxy.set(mode(&line)?).await?;
        println!("{line}");
    }
    Ok(())
}

fn mode(word: &str) -> io::Result<Mode> {
    Ok(match word {
        "pass" => Mode::Pass,
        "reset" => Mode::Reset,
        "closed" => Mode::Closed,
        "hang" => Mode::Hang,
        "garbage" => Mode::Garbage,
        status => Mode::Status(
            status.parse().map_err(|_| io::Error::other(format!("no such mode: {status}")))?,
        ),
    })
}
