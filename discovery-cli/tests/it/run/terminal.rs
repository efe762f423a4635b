//! `run` on a terminal, under `script`.

use discovery_agent::Agent;

use super::{PROGRAM, REGISTERED, free, pid_of_program};
use crate::{
    process::{Running, wait_until_ended},
    terminal::{CTRL_C, on_a_terminal},
};

const CTRL_Z: &[u8] = b"\x1a";

/// A shell command for [`PROGRAM`] under `run`, which takes the program from the variable PROGRAM.
fn line(agent: &Agent) -> String {
    let (discovery, at, port) = (env!("CARGO_BIN_EXE_discovery"), agent.http_addr(), free());
    format!(
        "NO_COLOR=1 CONSUL_HTTP_ADDR={at} {discovery} run web --port {port} --drain 1s -- python3 -c \"$PROGRAM\" {at} {port}"
    )
}

#[tokio::test]
async fn ctrl_c_reaches_the_program_once_and_after_it_has_left() {
    let agent = Agent::start().await.unwrap();
    let mut command = on_a_terminal(&format!("exec env {}", line(&agent)));
    let mut running = Running::start(command.env("PROGRAM", PROGRAM));
    running.wait_for_text(REGISTERED).await;
    running.write_stdin(CTRL_C).await;
    let (code, said) = running.ended().await;
    assert_eq!(code, Some(42), "{said}");
    assert_eq!(said.matches("got SIGINT, 0 instances").count(), 1, "{said}");
    assert_eq!(said.matches("got SIG").count(), 1, "{said}");
}

#[tokio::test]
async fn a_program_can_read_the_terminal() {
    let agent = Agent::start().await.unwrap();
    let (discovery, at, port) = (env!("CARGO_BIN_EXE_discovery"), agent.http_addr(), free());
    let mut command = on_a_terminal(&format!(
        "CONSUL_HTTP_ADDR={at} exec {discovery} run web --port {port} -- sh -c 'echo ask; read it; echo read $it'"
    ));
    let mut running = Running::start(&mut command);
    running.wait_for_text("ask").await;
    running.write_stdin(b"hello\n").await;
    running.wait_for_text("read hello").await;
    let (code, said) = running.ended().await;
    assert_eq!(code, Some(0), "{said}");
}

#[tokio::test]
async fn ctrl_z_stops_both_and_the_shell_continues_them() {
    let agent = Agent::start().await.unwrap();
    let mut command = on_a_terminal("exec bash --norc --noediting -i");
    let mut running = Running::start(command.env("PROGRAM", PROGRAM));
    running.write_stdin(format!("{} CONT\n", line(&agent)).as_bytes()).await;
    let program = pid_of_program(&mut running).await;
    running.wait_for_text(REGISTERED).await;
    running.write_stdin(CTRL_Z).await;
    running.wait_for_text("Stopped").await;
    running.write_stdin(b"fg\n").await;
    // The shell continues the program after it gave it the terminal.
    running.wait_for_text("got SIGCONT").await;
    running.write_stdin(CTRL_C).await;
    running.wait_for_text("got SIGINT, 0 instances").await;
    wait_until_ended(&[program]).await;
    running.write_stdin(b"echo code $?; exit\n").await;
    running.wait_for_text("code 42").await;
}
