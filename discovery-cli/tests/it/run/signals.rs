//! Which signal reaches the program, and when.

use std::process::Stdio;

use discovery_agent::Agent;
use rustix::process::Signal;

use super::{instances, pid_of_program, started};
use crate::process::{Running, wait_until_ended};

#[tokio::test]
async fn a_signal_that_does_not_end_it_is_passed_on_as_it_is() {
    let agent = Agent::start().await.unwrap();
    let mut running = started(agent.http_addr(), &[]).await;
    for (signal, name) in [
        (Signal::HUP, "SIGHUP"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::WINCH, "SIGWINCH"),
        (Signal::POWER, "SIGPWR"),
    ] {
        running.signal(signal);
        running.wait_for_text(&format!("got {name}\n")).await;
    }
    assert_eq!(instances(agent.http_addr()).await, (1, 0));
}

#[tokio::test]
async fn it_is_deregistered_before_its_program_gets_sigterm() {
    let agent = Agent::start().await.unwrap();
    for (signal, said, code) in [
        (Signal::TERM, "got SIGTERM, 0 instances\n", 55),
        (Signal::INT, "got SIGINT, 0 instances\n", 42),
    ] {
        let running = started(agent.http_addr(), &["--drain", "1s"]).await;
        running.signal(signal);
        let (ended, all) = running.ended().await;
        assert_eq!(ended, Some(code), "{all}");
        assert_eq!(all.matches(said).count(), 1, "{all}");
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_drain() {
    let agent = Agent::start().await.unwrap();
    let mut running = started(agent.http_addr(), &["--drain", "60m"]).await;
    let program = pid_of_program(&mut running).await;
    running.signal(Signal::TERM);
    running.wait_for_text("shutting down").await;
    running.signal(Signal::INT);
    // It is still there: in maintenance.
    running.wait_for_text("got SIGINT, 1 instances\n").await;
    wait_until_ended(&[program]).await;
    let (code, said) = running.ended().await;
    assert_eq!(code, Some(42), "{said}");
    assert_eq!(instances(agent.http_addr()).await.0, 0);
}

#[tokio::test]
async fn a_program_that_is_not_ready_gets_sigterm_at_once() {
    let agent = Agent::start().await.unwrap();
    let script = "trap 'exit 9' TERM; echo listening as $$; while :; do sleep 0.05; done";
    let mut command =
        super::run(agent.http_addr(), super::free(), &["--drain", "60m"], &["sh", "-c", script]);
    let mut running = Running::start(&mut command);
    pid_of_program(&mut running).await;
    running.signal(Signal::TERM);
    let (code, said) = running.ended().await;
    assert_eq!(code, Some(9), "{said}");
}

#[tokio::test]
async fn a_stopped_program_stops_its_wrapper_and_both_continue() {
    let agent = Agent::start().await.unwrap();
    let mut running = started(agent.http_addr(), &[]).await;
    let program = pid_of_program(&mut running).await;
    running.signal(Signal::TSTP);
    until_state(program, 'T').await;
    until_state(running.pid(), 'T').await;
    running.signal(Signal::CONT);
    until_state(program, 'S').await;
    running.signal(Signal::USR1);
    running.wait_for_text("got SIGUSR1\n").await;
}

#[tokio::test]
async fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let agent = Agent::start().await.unwrap();
    let (at, port) = (agent.http_addr(), super::free());
    let program = ["python3", "-c", super::PROGRAM, &at.to_string(), &port.to_string()];
    let wrapped = super::run(at, port, &[], &program);
    // As `nohup` does.
    let mut command = tokio::process::Command::new("env");
    command.args(["--default-signal=INT,QUIT", "--ignore-signal=HUP"]);
    command.args(wrapped.as_std().get_args().skip(1)).env_clear().env("PATH", env!("PATH"));
    command.env("CONSUL_HTTP_ADDR", at.to_string()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(&mut command);
    running.wait_for_text(super::REGISTERED).await;
    running.signal(Signal::HUP);
    running.signal(Signal::USR1);
    running.wait_for_text("got SIGUSR1\n").await;
    running.signal(Signal::TERM);
    let (code, said) = running.ended().await;
    assert_eq!((code, said.matches("got SIGHUP").count()), (Some(55), 0), "{said}");
}

/// Waits for a state of a process, as `ps` shows it.
async fn until_state(pid: u32, state: char) {
    let reached = async {
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            if stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(state)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::process::WAIT_MAX, reached).await.expect("not in this state");
}
