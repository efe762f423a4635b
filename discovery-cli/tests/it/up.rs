//! `up`: its processes, their restarts, and that no process is left after any kind of end.

use std::{net::SocketAddr, time::Duration};

use rustix::process::Signal;
use testkit::{
    http::Request,
    load::{Load, LoadSettings, ok_with_lines},
};
use tokio::{net::TcpListener, time::sleep};

use crate::process::{
    Running, discovery, done, is_alive, send, text, wait_until_ended, wait_until_none_with,
};

const ANYWHERE: [&str; 7] = [
    "up",
    "--listen",
    "127.0.0.1:0",
    "--http-listen",
    "127.0.0.1:0",
    "--dns-listen",
    "127.0.0.1:0",
];

/// A running chain.
struct Up {
    running: Running,
    rows: Vec<Row>,
}

/// A line of its table.
#[derive(Debug, Clone)]
struct Row {
    name: String,
    pid: u32,
    /// Of the agent, its HTTP address.
    at: SocketAddr,
}

impl Up {
    async fn start(arguments: &[&str]) -> Self {
        let mut running = Running::start(&mut discovery(&[&ANYWHERE, arguments].concat()));
        running.wait_for_text("Ctrl-C stops all.").await;
        let output = running.output();
        let table = output.lines().skip_while(|line| !line.starts_with("PROCESS")).skip(1);
        let rows = table.take_while(|line| !line.is_empty()).map(row).collect();
        Self { running, rows }
    }

    fn row(&self, name: &str) -> &Row {
        self.rows.iter().find(|row| row.name == name).unwrap()
    }

    fn pids(&self) -> Vec<u32> {
        self.rows.iter().map(|row| row.pid).collect()
    }

    /// Waits until a process runs again, and returns its pid.
    async fn restarted(&mut self, name: &str) -> u32 {
        let prefix = format!("{name} is running again: pid ");
        self.running
            .wait_for(|output| {
                let line = output.lines().find_map(|line| line.strip_prefix(&prefix))?;
                line.split(',').next()?.parse().ok()
            })
            .await
    }
}

impl Up {
    /// Waits until service1 has called each instance of service2, so that it knows more than one.
    async fn each_service2_answers(&self) {
        let at = self.row("service1").at;
        let services2 = self.rows.iter().filter(|row| row.name.starts_with("service2"));
        let mut missing: Vec<_> = services2.map(|row| format!("to {}", row.at)).collect();
        let answers = async {
            while !missing.is_empty() {
                let answer = Request::get("/").send(at).await.unwrap();
                missing.retain(|line| answer.text().lines().all(|it| it != line));
            }
        };
        tokio::time::timeout(crate::process::WAIT_MAX, answers).await.unwrap();
    }
}

fn row(line: &str) -> Row {
    let cells: Vec<_> = line.split_whitespace().collect();
    let at = if cells[0] == "agent" { cells[3].trim_end_matches(',') } else { cells[2] };
    Row { name: cells[0].to_owned(), pid: cells[1].parse().unwrap(), at: at.parse().unwrap() }
}

#[tokio::test]
async fn the_table_matches_the_processes() {
    let up = Up::start(&["--scale", "service2=3"]).await;
    let names: Vec<_> = up.rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["agent", "service2-1", "service2-2", "service2-3", "service1"]);
    assert!(up.pids().iter().all(|pid| is_alive(*pid)));
    let at = up.row("service1").at;
    let answer = Request::get("/").send(at).await.unwrap();
    let lines: Vec<_> = answer.text().lines().collect();
    assert_eq!((lines.len(), lines[1]), (4, format!("to {at}").as_str()));
    let services2 = up.rows.iter().filter(|row| row.name.starts_with("service2"));
    let known: Vec<_> = services2.map(|row| format!("to {}", row.at)).collect();
    assert!(known.contains(&lines[3].to_owned()), "{lines:?} {known:?}");
}

#[tokio::test]
async fn a_killed_instance_is_restarted_and_no_request_fails() {
    let mut up = Up::start(&[]).await;
    up.each_service2_answers().await;
    let settings = LoadSettings { rate: 100.0, right: ok_with_lines(4), ..LoadSettings::default() };
    let load = Load::start(&format!("http://{}/", up.row("service1").at), settings).unwrap();
    let killed = up.row("service2-1").pid;
    send(killed, Signal::KILL).unwrap();
    up.running
        .wait_for_text(&format!("service2-1 (pid {killed}) was killed; restarting in 0.5 s"))
        .await;
    let restarted = up.restarted("service2-1").await;
    assert!(restarted != killed && is_alive(restarted));
    sleep(Duration::from_secs(1)).await;
    let report = load.stop().await.unwrap();
    assert!(report.sent > 100 && report.failed == 0, "{report}");
}

#[tokio::test]
async fn a_killed_agent_is_restarted_at_its_address_and_gets_all_registrations() {
    let mut up = Up::start(&[]).await;
    let agent = up.row("agent").clone();
    send(agent.pid, Signal::KILL).unwrap();
    let restarted = up.restarted("agent").await;
    assert!(restarted != agent.pid);
    for service in ["service1", "service2"] {
        let path = format!("/v1/health/service/{service}?passing");
        let registered = async {
            loop {
                let answer = Request::get(&path).send(agent.at).await;
                let count = answer.map_or(0, |answer| answer.text().matches("\"Checks\"").count());
                if count == if service == "service1" { 1 } else { 2 } {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(crate::process::WAIT_MAX, registered).await.unwrap();
    }
}

#[tokio::test]
async fn an_instance_that_shut_down_gracefully_is_not_restarted() {
    let mut up = Up::start(&[]).await;
    let ended = up.row("service2-1").pid;
    send(ended, Signal::TERM).unwrap();
    up.running
        .wait_for_text(&format!("service2-1 (pid {ended}) shut down gracefully; not restarted"))
        .await;
    let at = up.row("service1").at;
    assert_eq!(Request::get("/").send(at).await.unwrap().status, 200);
    // One that is killed later is restarted after the same pause, so this one would be too.
    send(up.row("service2-2").pid, Signal::KILL).unwrap();
    up.restarted("service2-2").await;
    assert!(!up.running.output().contains("service2-1 is running again"));
}

/// Each command of "Try in another terminal", in the order of the output.
#[tokio::test]
async fn the_printed_commands_work_in_their_order() {
    let mut up = Up::start(&[]).await;
    let output = up.running.output();
    let tries = output.lines().skip_while(|line| !line.starts_with("Try in")).skip(1);
    let kills: Vec<(Signal, u32)> = tries.filter_map(kill).collect();
    let [(Signal::KILL, killed), (Signal::TERM, ended)] = kills[..] else { panic!("{output}") };
    send(killed, Signal::KILL).unwrap();
    up.restarted("service2-1").await;
    send(ended, Signal::TERM).unwrap();
    up.running.wait_for_text(&format!("(pid {ended}) shut down gracefully; not restarted")).await;
    assert_eq!(Request::get("/").send(up.row("service1").at).await.unwrap().status, 200);
}

/// The signal and the pid of a line like `kill -9 123   why`.
fn kill(line: &str) -> Option<(Signal, u32)> {
    let typed = line.trim().strip_prefix("kill ")?;
    match typed.strip_prefix("-9 ") {
        Some(pid) => Some((Signal::KILL, pid.split_whitespace().next()?.parse().ok()?)),
        None => Some((Signal::TERM, typed.split_whitespace().next()?.parse().ok()?)),
    }
}

#[tokio::test]
async fn one_instance_can_only_be_killed_once() {
    let up = Up::start(&["--scale", "service2=1"]).await;
    let output = up.running.output();
    assert_eq!(output.lines().filter_map(kill).count(), 1, "{output}");
}

#[tokio::test]
async fn with_a_scale_of_0_callers_get_the_reason() {
    let up = Up::start(&["--scale", "service2=0"]).await;
    assert_eq!(Request::get("/").send(up.row("service1").at).await.unwrap().status, 503);
}

#[tokio::test]
async fn a_signal_shuts_all_down_gracefully_with_code_0() {
    for signal in [Signal::INT, Signal::TERM] {
        let up = Up::start(&[]).await;
        let pids = up.pids();
        up.running.signal(signal);
        let (code, output) = up.running.ended().await;
        assert_eq!(code, Some(0), "{output}");
        assert!(
            output.ends_with(
                "stopping service1, then service2, then the agent; Ctrl-C again stops them at once\n"
            ),
            "{output}"
        );
        assert!(pids.iter().all(|pid| !is_alive(*pid)), "it waits for them");
    }
}

#[tokio::test]
async fn a_second_signal_stops_all_at_once() {
    let up = Up::start(&[]).await;
    // A stopped process does not shut down before it is resumed.
    send(up.row("service1").pid, Signal::STOP).unwrap();
    let (pids, mut running) = (up.pids(), up.running);
    running.signal(Signal::INT);
    running.wait_for_text("stopping").await;
    running.signal(Signal::INT);
    assert_eq!(running.ended().await.0, Some(1));
    wait_until_ended(&pids).await;
}

#[tokio::test]
async fn no_process_is_left_after_a_kill_not_even_a_stopped_one() {
    let up = Up::start(&[]).await;
    send(up.row("service2-2").pid, Signal::STOP).unwrap();
    up.running.signal(Signal::KILL);
    wait_until_ended(&up.pids()).await;
}

#[tokio::test]
async fn no_process_is_left_after_a_kill_during_the_start() {
    for pause_ms in [0, 10, 20, 50, 100, 200, 400] {
        let mark = format!("MARK={:016x}", fastrand::u64(..));
        let (name, value) = mark.split_once('=').unwrap();
        let running = Running::start(discovery(&ANYWHERE).env(name, value));
        sleep(Duration::from_millis(pause_ms)).await;
        running.signal(Signal::KILL);
        running.ended().await;
        wait_until_none_with(&mark).await;
    }
}

#[tokio::test]
async fn a_port_in_use_is_reported_with_its_flag_before_anything_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--http-listen", "--dns-listen"] {
        let mut arguments = ANYWHERE;
        let value = arguments.iter().position(|it| *it == flag).unwrap() + 1;
        arguments[value] = &at;
        let output = done(&mut discovery(&arguments)).await;
        let expected = format!(
            "error: {at} is in use: stop the process that listens on it, or set another address with {flag}\n"
        );
        assert_eq!((text(&output.stderr), output.status.code()), (expected, Some(1)));
    }
}

#[tokio::test]
async fn the_table_is_printed_as_json() {
    let mut running = Running::start(&mut discovery(&[&ANYWHERE[..], &["--json"]].concat()));
    let line = |what: &'static str| {
        move |output: &str| {
            let lines = output
                .lines()
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            lines.into_iter().find(|line| line["what"] == what)
        }
    };
    let up = running.wait_for(line("up")).await;
    let names: Vec<_> = up["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|process| process["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["agent", "service2-1", "service2-2", "service1"]);
    let killed = up["processes"][1]["pid"].as_u64().unwrap();
    send(killed.try_into().unwrap(), Signal::KILL).unwrap();
    let ended = running.wait_for(line("ended")).await;
    assert_eq!(
        (&ended["name"], &ended["how"], &ended["restart_in_ms"]),
        (&"service2-1".into(), &"was killed".into(), &500.into())
    );
    assert_eq!(running.wait_for(line("restarted")).await["process"]["name"], "service2-1");
}

#[tokio::test]
async fn settings_of_other_programs_do_not_reach_the_chain() {
    let variables = [
        ("CONSUL_HTTP_ADDR", "127.0.0.1:1"),
        ("CONSUL_HTTP_TOKEN_FILE", "/nowhere"),
        ("SERVICE_NAME", "other"),
        ("LISTEN", "nonsense"),
        ("UPSTREAM", "nobody"),
        ("RESOLVE", "nonsense"),
    ];
    let mut running = Running::start(discovery(&ANYWHERE).envs(variables));
    running.wait_for_text("Ctrl-C stops all.").await;
}
