//! `load`: the open-loop load for shell scripts. Prints one line at the end, and the first failures on standard error; exits with 1 on failures,
//! with 2 on wrong usage.

use std::{io, process::ExitCode, time::Duration};

use clap::Parser;
use testkit::load::{self, Connections, Load, LoadSettings, Report};
use tokio::{
    signal::unix::{SignalKind, signal},
    time,
};

/// Sends GETs on schedule, whatever their results, until the time is over or SIGINT or SIGTERM arrives.
#[derive(Debug, Parser)]
struct Arguments {
    /// Requests per second
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    rate: f64,
    /// Duration; without it, until a signal arrives
    #[arg(long, value_parser = seconds)]
    seconds: Option<Duration>,
    /// Seconds from the schedule of a request to its answer
    #[arg(long, default_value = "5", value_parser = seconds)]
    deadline: Duration,
    /// Use a new connection per request
    #[arg(long)]
    close: bool,
    /// Expect status 200 and this number of lines; without it, status 200 only
    #[arg(long)]
    lines: Option<usize>,
    /// `http://host[:port][/path]`
    url: String,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command's answer")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(report) => {
            println!("{report}");
            for failure in &report.failures {
                eprintln!("load: at {:.1?}: {}", failure.at, failure.why);
            }
            if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> io::Result<Report> {
    let settings = LoadSettings {
        rate: arguments.rate,
        connections: if arguments.close { Connections::New } else { Connections::Kept },
        deadline: arguments.deadline,
        right: arguments.lines.map_or_else(load::ok, load::ok_with_lines),
        ..LoadSettings::default()
    };
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let load = Load::start(&arguments.url, settings)?;
    let over = async {
        match arguments.seconds {
            Some(seconds) => time::sleep(seconds).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = over => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    load.stop().await
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate| (0.001..=1e6).contains(rate));
    rate.ok_or("expected a number from 0.001 to 1000000")
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| !seconds.is_zero()).ok_or("expected a positive number of seconds")
}
