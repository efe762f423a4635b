//! `run`: the signals, the terminal, the exit codes and the environment of a program. How its health is registered is tested in the library.

mod signals;
mod terminal;

use std::{net::SocketAddr, process::Stdio};

use discovery_agent::Agent;
use rustix::process::Signal;
use testkit::{http::Request, ports};
use tokio::process::Command;

use crate::process::{Running, discovery, done, text};

/// A program that listens on a port, and prints each signal. SIGTERM and SIGINT end it with an exit code of its own, and with the number of
/// instances that the agent still has then.
const PROGRAM: &str = r#"
import json, os, signal, socket, sys, urllib.request
agent, port = sys.argv[1:3]
def say(line):
    # Not print: a handler may interrupt another one.
    os.write(1, f"{line}\n".encode())
def got(number, _):
    name = signal.Signals(number).name
    if name in ("SIGTERM", "SIGINT"):
        with urllib.request.urlopen(f"http://{agent}/v1/health/service/web") as answer:
            say(f"got {name}, {len(json.load(answer))} instances")
        os._exit(40 + number)
    say(f"got {name}")
for name in "HUP INT QUIT USR1 USR2 ALRM TERM WINCH PWR".split() + sys.argv[3:]:
    signal.signal(getattr(signal, "SIG" + name), got)
server = socket.create_server(("127.0.0.1", int(port)))
say(f"listening as {os.getpid()}")
while True:
    server.accept()[0].close()
"#;

/// The message of the registrar when the service can be found.
const REGISTERED: &str = "registered and in the catalog";

fn free() -> u16 {
    let [port] = ports::free().unwrap();
    port
}

/// Signals that a test run in the background or under `nohup` ignores are not ignored.
const DEFAULT_SIGNALS: &str = "--default-signal=HUP,INT,QUIT";

/// `run web` with these options, on this port.
fn run(agent: SocketAddr, port: u16, options: &[&str], program: &[&str]) -> Command {
    let port = port.to_string();
    let arguments = [&["run", "web", "--port", &port][..], options, &["--"], program].concat();
    let wrapper = discovery(&arguments);
    let mut command = Command::new("env");
    command.arg(DEFAULT_SIGNALS).arg(wrapper.as_std().get_program());
    command.args(wrapper.as_std().get_args()).env_clear().env("PATH", env!("PATH"));
    command.env("CONSUL_HTTP_ADDR", agent.to_string()).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// [`PROGRAM`], registered.
async fn started(agent: SocketAddr, options: &[&str]) -> Running {
    let (port, at) = (free(), agent.to_string());
    let program = ["python3", "-c", PROGRAM, &at, &port.to_string()];
    let mut running = Running::start(&mut run(agent, port, options, &program));
    running.wait_for_text(REGISTERED).await;
    running
}

/// The number of instances that the agent has, and how many of them are not passing.
async fn instances(agent: SocketAddr) -> (usize, usize) {
    let answer = Request::get("/v1/health/service/web").send(agent).await.unwrap().json();
    let all = answer.as_array().unwrap();
    let is_passing = |entry: &&serde_json::Value| {
        entry["Checks"].as_array().unwrap().iter().all(|check| check["Status"] == "passing")
    };
    (all.len(), all.iter().filter(|entry| !is_passing(entry)).count())
}

/// The process of the program.
async fn pid_of_program(running: &mut Running) -> u32 {
    let find =
        |said: &str| said.lines().find_map(|line| line.strip_prefix("listening as ")?.parse().ok());
    running.wait_for(find).await
}

#[tokio::test]
async fn the_exit_code_is_that_of_the_program() {
    let agent = Agent::start().await.unwrap();
    for (program, code, said) in [
        (&["sh", "-c", "exit 7"][..], 7, ""),
        (&["sh", "-c", "kill -9 $$"], 137, ""),
        (&["no-such-program"], 127, "error: \"no-such-program\" was not found in PATH\n"),
        (&["/no/such/program"], 127, "error: \"/no/such/program\" was not found\n"),
        (
            &["/etc/passwd"],
            126,
            "error: \"/etc/passwd\" can't be executed: Permission denied (os error 13)\n",
        ),
        (&["/etc"], 126, "error: \"/etc\" can't be executed: Permission denied (os error 13)\n"),
    ] {
        let mut command = run(agent.http_addr(), free(), &[], program);
        let output = done(command.env("RUST_LOG", "error")).await;
        assert_eq!((text(&output.stderr).as_str(), output.status.code()), (said, Some(code)));
    }
}

#[tokio::test]
async fn a_port_in_use_is_an_error_at_once() {
    let agent = Agent::start().await.unwrap();
    let at = agent.http_addr();
    let output = done(&mut run(at, at.port(), &[], &["true"])).await;
    let said = format!(
        "error: another process already listens on {at}, the port of web: stop it, or give the program another port\n"
    );
    assert_eq!((text(&output.stderr), output.status.code()), (said, Some(125)));
}

#[tokio::test]
async fn a_program_inherits_the_environment_without_the_settings_of_the_wrapper() {
    let agent = Agent::start().await.unwrap();
    let mut command = run(agent.http_addr(), free(), &[], &["env"]);
    command.envs([
        ("CONSUL_HTTP_TOKEN", "secret"),
        ("CONSUL_HTTP_TOKEN_FILE", ""),
        ("CONSUL_NAMESPACE", ""),
        ("ADVERTISE", "10.0.0.1:80"),
        ("SERVICE_ID", "web-1"),
        ("DRAIN", "1s"),
        ("RUST_LOG", "error"),
        ("LOG_FORMAT", "json"),
        ("LISTEN", "stays"),
        ("EMPTY", ""),
        ("NAME", "with = and\nnew line"),
    ]);
    let output = done(&mut command).await;
    let mut lines: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    lines.retain(|line| !line.starts_with("PATH="));
    lines.sort_unstable();
    assert_eq!(lines, ["EMPTY=", "LISTEN=stays", "NAME=with = and", "NO_COLOR=1", "new line"]);
}

#[tokio::test]
async fn a_program_has_no_open_files_of_the_wrapper() {
    let agent = Agent::start().await.unwrap();
    let program = ["sh", "-c", "sleep 1; ls /proc/$$/fd"];
    let wrapped = done(&mut run(agent.http_addr(), free(), &[], &program)).await;
    // The process of the tests may itself have inherited some that are not closed.
    let mut alone = Command::new("sh");
    let alone = done(alone.args(&program[1..]).stdin(Stdio::null())).await;
    assert_eq!(text(&wrapped.stdout), text(&alone.stdout));
}

#[tokio::test]
async fn several_services_take_a_host_but_no_port_and_no_id() {
    for (option, said) in [
        (
            ["--advertise", "10.0.0.1:80"],
            "--advertise (ADVERTISE) has a port: with --service it takes a host only, for all services",
        ),
        (
            ["--service-id", "web-1"],
            "--service-id (SERVICE_ID) is for one service: it can't be used with --service",
        ),
    ] {
        let options = [&["--service", "admin:81"][..], &option].concat();
        let output = done(&mut run(([127, 0, 0, 1], 1).into(), 80, &options, &["true"])).await;
        assert_eq!(text(&output.stderr), format!("error: {said}\n"));
        assert_eq!(output.status.code(), Some(2));
    }
}

#[tokio::test]
async fn a_killed_wrapper_ends_its_program_and_its_instance() {
    let agent = Agent::start().await.unwrap();
    let mut running = started(agent.http_addr(), &[]).await;
    let program = pid_of_program(&mut running).await;
    running.signal(Signal::KILL);
    running.wait_for_text("got SIGTERM, 1 instances").await;
    crate::process::wait_until_ended(&[program]).await;
    // Critical when its TTL is over, and removed a minute later.
    let gone = async {
        while instances(agent.http_addr()).await != (1, 1) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::process::WAIT_MAX, gone).await.expect("still passing");
}

#[tokio::test]
async fn the_step_between_wrapper_and_program_is_not_for_users() {
    let output = done(&mut discovery(&["__launch", "sh"])).await;
    let said = "error: __launch is not for use by hand: see `discovery run`\n";
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), (said, Some(2)));
}
