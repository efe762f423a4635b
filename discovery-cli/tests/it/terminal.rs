//! On a terminal: `up` under `script`, which gives it one and sends what is typed there.

use std::process::Stdio;

use tokio::process::Command;

use crate::process::{Running, gone};

/// What a terminal sends for Ctrl-C: its line discipline makes a SIGINT for the whole foreground group of it.
const CTRL_C: &[u8] = b"\x03";

fn on_a_terminal(line: &str) -> Command {
    // Whoever runs the tests may be deaf to a terminal that is closed; what runs on one is not.
    let mut command = Command::new("env");
    command.args([
        "--default-signal=HUP",
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
fn pids(said: &str) -> Option<Vec<u32>> {
    said.contains("Ctrl-C stops all.").then_some(())?;
    let named = |line: &&str| {
        (line.starts_with("agent ") || line.starts_with("service")) && !line.contains(" | ")
    };
    said.lines().filter(named).map(|line| line.split_whitespace().nth(1)?.parse().ok()).collect()
}

const UP: &str = concat!(
    "exec ",
    env!("CARGO_BIN_EXE_discovery"),
    " up --listen 127.0.0.1:0 --http-listen 127.0.0.1:0 --dns-listen 127.0.0.1:0"
);

#[tokio::test]
async fn ctrl_c_ends_all_in_order_and_nothing_is_left() {
    let mut running = Running::start(&mut on_a_terminal(&format!("export RUST_LOG=info; {UP}")));
    let pids = running.hear(pids).await;
    assert_eq!(pids.len(), 4);
    running.type_in(CTRL_C).await;
    let (code, said) = running.ended().await;
    assert_eq!(code, Some(0), "{said}");
    gone(&pids).await;
    // A Ctrl-C that reached the whole group would make all of them leave at once.
    let line =
        |words: &[&str]| said.lines().position(|line| words.iter().all(|word| line.contains(word)));
    let told = line(&["stopping service1, then service2, then the agent"]);
    let gone = line(&["service1 | ", "discovery::registration", "left"]);
    let next = line(&["service2-1 | ", "discovery::registration", "leaving"]);
    assert!(told.is_some() && told < gone && gone < next, "{said}");
}

#[tokio::test]
async fn a_second_ctrl_c_ends_all_at_once() {
    let mut running = Running::start(&mut on_a_terminal(UP));
    let pids = running.hear(pids).await;
    running.type_in(CTRL_C).await;
    running.hear_words("stopping service1").await;
    running.type_in(CTRL_C).await;
    assert_eq!(running.ended().await.0, Some(1));
    gone(&pids).await;
}

#[tokio::test]
async fn a_terminal_that_is_closed_ends_all() {
    let mut running = Running::start(&mut on_a_terminal(UP));
    let pids = running.hear(pids).await;
    drop(running);
    gone(&pids).await;
}

#[tokio::test]
async fn a_terminal_has_colours_unless_no_color_says_otherwise() {
    for (line, coloured) in [(UP.to_owned(), true), (format!("export NO_COLOR=1; {UP}"), false)] {
        let mut running = Running::start(&mut on_a_terminal(&line));
        running.hear_words("PROCESS").await;
        assert_eq!(running.said().contains("\x1b[1mPROCESS"), coloured, "{line}");
    }
}
