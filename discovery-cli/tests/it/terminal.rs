//! `up` on a terminal: under `script`, which provides one and sends the typed characters.

use std::process::Stdio;

use tokio::process::Command;

use crate::process::{Running, wait_until_ended};

/// The character of Ctrl-C: the line discipline sends a SIGINT to the whole foreground group.
pub(crate) const CTRL_C: &[u8] = b"\x03";

pub(crate) fn on_a_terminal(line: &str) -> Command {
    // The test runner may ignore SIGHUP; a program on a terminal does not.
    let mut command = Command::new("env");
    command.args([
        "--default-signal=HUP,INT,QUIT",
        "script",
        "--quiet",
        "--return",
        "--command",
        line,
        "/dev/null",
    ]);
    command.env_clear().env("PATH", env!("PATH")).env("TERM", "xterm").env("SHELL", "/bin/sh");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The processes of its table, from the agent's line on.
fn pids(output: &str) -> Option<Vec<u32>> {
    output.contains("Ctrl-C stops all.").then_some(())?;
    let named = |line: &&str| {
        (line.starts_with("agent ") || line.starts_with("service")) && !line.contains(" | ")
    };
    output.lines().filter(named).map(|line| line.split_whitespace().nth(1)?.parse().ok()).collect()
}

const UP: &str = concat!(
    "exec ",
    env!("CARGO_BIN_EXE_discovery"),
    " up --listen 127.0.0.1:0 --http-listen 127.0.0.1:0 --dns-listen 127.0.0.1:0"
);

#[tokio::test]
async fn ctrl_c_shuts_all_down_gracefully() {
    let mut running = Running::start(&mut on_a_terminal(&format!("export RUST_LOG=info; {UP}")));
    let pids = running.wait_for(pids).await;
    assert_eq!(pids.len(), 4);
    running.write_stdin(CTRL_C).await;
    let (code, output) = running.ended().await;
    assert_eq!(code, Some(0), "{output}");
    wait_until_ended(&pids).await;
    // If Ctrl-C reached the whole group, all of them would stop at once.
    let line = |words: &[&str]| {
        output.lines().position(|line| words.iter().all(|word| line.contains(word)))
    };
    let stopping = line(&["stopping service1, then service2, then the agent"]);
    let ended = line(&["service1 | ", "discovery::registration", "registration ended"]);
    let next = line(&["service2-1 | ", "discovery::registration", "shutting down"]);
    assert!(stopping.is_some() && stopping < ended && ended < next, "{output}");
}

#[tokio::test]
async fn a_second_ctrl_c_stops_all_at_once() {
    let mut running = Running::start(&mut on_a_terminal(UP));
    let pids = running.wait_for(pids).await;
    running.write_stdin(CTRL_C).await;
    running.wait_for_text("stopping service1").await;
    running.write_stdin(CTRL_C).await;
    assert_eq!(running.ended().await.0, Some(1));
    wait_until_ended(&pids).await;
}

#[tokio::test]
async fn closing_the_terminal_stops_all() {
    let mut running = Running::start(&mut on_a_terminal(UP));
    let pids = running.wait_for(pids).await;
    drop(running);
    wait_until_ended(&pids).await;
}

#[tokio::test]
async fn a_terminal_has_colours_unless_no_color_is_set() {
    for (line, coloured) in [(UP.to_owned(), true), (format!("export NO_COLOR=1; {UP}"), false)] {
        let mut running = Running::start(&mut on_a_terminal(&line));
        running.wait_for_text("PROCESS").await;
        assert_eq!(running.output().contains("\x1b[1mPROCESS"), coloured, "{line}");
    }
}
