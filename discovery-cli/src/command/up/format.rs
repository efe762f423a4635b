//! The output of `up`, as text and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    board::{AGENT, Entry, Notice},
    child::how,
};
use crate::{
    command::agent::Serving,
    print::{Paint, Table, Tone, json_line},
};

/// As text, ended by a newline. `serving`: the addresses of the agent.
pub(super) fn as_text(notice: &Notice, serving: Serving, paint: Paint) -> String {
    match notice {
        Notice::Up(entries) => {
            let table = table(entries, serving).render(paint);
            format!("{table}\n{}\nCtrl-C stops all.\n", to_try(entries, serving))
        }
        Notice::Ended { name, pid, status, restart_in } => {
            let then = match restart_in {
                Some(pause) => format!("restarting in {} s", pause.as_secs_f64()),
                None => "not restarted".into(),
            };
            format!("{name} (pid {}) {}; {then}\n", shown(*pid), how(*status))
        }
        Notice::Restarted(entry) => {
            format!(
                "{} is running again: pid {}, {}\n",
                entry.name,
                shown(entry.pid),
                address(entry, serving)
            )
        }
        Notice::Lost { name, why } => format!("{name} cannot be restarted: {why}\n"),
    }
}

/// As JSON, one object per line.
pub(super) fn as_json(notice: &Notice, serving: Serving) -> String {
    let entry = |entry: &Entry| process(entry, serving);
    let object = match notice {
        Notice::Up(entries) => {
            json!({ "what": "up", "processes": entries.iter().map(entry).collect::<Value>() })
        }
        Notice::Ended { name, pid, status, restart_in } => json!({
            "what": "ended",
            "name": name,
            "pid": pid,
            "how": how(*status),
            "restart_in_ms": restart_in.as_ref().map(Duration::as_millis),
        }),
        Notice::Restarted(restarted) => json!({ "what": "restarted", "process": entry(restarted) }),
        Notice::Lost { name, why } => json!({ "what": "lost", "name": name, "why": why }),
    };
    json_line(&object)
}

fn process(entry: &Entry, serving: Serving) -> Value {
    match &entry.at {
        Some(at) => json!({ "name": entry.name, "pid": entry.pid, "address": at.to_string() }),
        None => {
            json!({ "name": entry.name, "pid": entry.pid, "http": serving.http, "dns": serving.dns })
        }
    }
}

fn table(entries: &[Entry], serving: Serving) -> Table<3> {
    let mut table = Table::new(["PROCESS", "PID", "ADDRESS"]);
    for entry in entries {
        table.push(Tone::Plain, [entry.name.clone(), shown(entry.pid), address(entry, serving)]);
    }
    table
}

fn address(entry: &Entry, Serving { http, dns }: Serving) -> String {
    entry.at.as_ref().map_or_else(|| format!("http {http}, dns {dns}"), ToString::to_string)
}

/// Commands to try in another terminal.
fn to_try(entries: &[Entry], Serving { http, dns }: Serving) -> String {
    let service1 = entries
        .iter()
        .filter(|entry| entry.name == "service1")
        .filter_map(|entry| entry.at.as_ref());
    let mut service2 =
        entries.iter().filter(|entry| entry.name != "service1" && entry.name != AGENT);
    let mut tries = Vec::new();
    for at in service1 {
        tries.push((format!("curl http://{at}/"), "four lines: both ends of both connections"));
    }
    let dig = format!("dig @{} -p {} service2.service.consul SRV", dns.ip(), dns.port());
    tries.push((dig, "the instances of service2, by DNS"));
    let curl = format!("curl 'http://{http}/v1/health/service/service2?passing'");
    tries.push((curl, "the same, by HTTP"));
    if let Some(pid) = service2.next().map(|entry| shown(entry.pid)) {
        tries.push((format!("kill -9 {pid}"), "call again: no call fails, and it is restarted"));
    }
    // Another one: the killed one is restarted with another pid.
    if let Some(pid) = service2.next().map(|entry| shown(entry.pid)) {
        tries.push((format!("kill {pid}"), "this one shuts down gracefully, and is not restarted"));
    }
    let width = tries.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let lines = tries.iter().map(|(command, effect)| format!("  {command:width$}  {effect}\n"));
    format!("Try in another terminal:\n{}", lines.collect::<String>())
}

fn shown(pid: Option<u32>) -> String {
    pid.map_or("?".into(), |pid| pid.to_string())
}
