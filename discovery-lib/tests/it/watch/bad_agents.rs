//! Agents that break the rules of Consul's API, of HTTP or of TCP while a watch uses them. For each: what the watch shows meanwhile, how many
//! requests it sends at most, and that it follows the agent again once that behaves.

mod answers;
mod connections;
mod dns;
mod indexes;
mod records;

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use discovery::{Discovery, Settings, Watch, Watched, agent::AgentSettings};
use testkit::scripted::{Act, Scripted, Step, response};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    as_of, queries_in,
    until::{shown, until, until_instances},
};
use crate::world::SOON;

#[tokio::test]
async fn a_failure_keeps_the_known_instances() {
    let refused = answers::refusals().into_iter().chain(answers::other_bodies());
    check(refused.chain(answers::incomplete_bodies()).chain(connections::broken())).await;
}

#[tokio::test]
async fn an_answer_that_does_not_come_keeps_the_known_instances() {
    check(connections::silent()).await;
}

#[tokio::test]
async fn an_answer_is_believed_whatever_its_index_and_form() {
    let answered = indexes::unusable().into_iter().chain(answers::empty_lists());
    let unusual = connections::unusual().into_iter().chain(connections::answered_twice());
    check(answered.chain(unusual)).await;
}

/// The instances before the agent misbehaves, and their index.
const KNOWN: &[&str] = &["10.0.0.1:80 passing"];
const INDEX: u64 = 1_000_000;
/// How long an agent misbehaves after the watch has shown it: several of the pauses below.
const WINDOW: Duration = Duration::from_secs(2);

/// One agent.
struct Row {
    name: &'static str,
    act: Act,
    shows: Shows,
    /// The requests that it may get within a time.
    most: fn(Duration) -> u64,
}

/// What a watch shows while its agent misbehaves.
enum Shows {
    /// The last known instances, which become older, and an error of which this is the text after the request. `AGENT` is the address.
    Failure(String),
    /// These instances and no error.
    Instances(&'static [&'static str]),
}

impl Row {
    /// An agent whose behaviour is a failure.
    fn fails(name: &'static str, act: Act, text: impl Into<String>) -> Self {
        Self { name, act, shows: Shows::Failure(text.into()), most: failing }
    }
}

/// After a failure the pause is at least 50 ms, and doubles up to 2.5 s (half of `FIRST` and `BACKOFF_MAX`, the lower end of their jitter).
fn failing(within: Duration) -> u64 {
    let (mut queries, mut pause, mut sent) = (1, Duration::from_millis(50), Duration::ZERO);
    while sent + pause <= within {
        sent += pause;
        pause = (pause * 2).min(Duration::from_millis(2500));
        queries += 1;
    }
    queries + UNDER_WAY
}

/// Without a usable index, and with one that does not wait, a watch polls once a second (`POLL_MIN`), after two queries at once (`BURST`).
fn polling(within: Duration) -> u64 {
    2 + within.as_secs() + UNDER_WAY
}

/// The limit whatever the answers (`BURST`, `REFILL`).
fn following(within: Duration) -> u64 {
    queries_in(within) + UNDER_WAY
}

/// A query that was sent before the time began, and arrived in it.
const UNDER_WAY: u64 = 1;
/// The connections on which a request is tried, if each ends before the request is sent (`TRIES_MAX`).
const TRIES: u64 = 3;

/// A record of the service `web` at 10.0.0.1 with this port.
fn record(port: u16) -> String {
    format!(
        r#"{{"Node":{{"Node":"n"}},"Service":{{"ID":"web-{port}","Service":"web","Address":"10.0.0.1","Port":{port}}}}}"#
    )
}

fn list(ports: impl IntoIterator<Item = u16>) -> String {
    format!("[{}]", ports.into_iter().map(record).collect::<Vec<_>>().join(","))
}

/// An answer of a healthy agent.
fn good(index: impl std::fmt::Display, ports: impl IntoIterator<Item = u16>) -> Bytes {
    response(200, &format!("X-Consul-Index: {index}\r\n"), &list(ports))
}

fn send(bytes: impl Into<Bytes>) -> Step {
    Step::Send(bytes.into())
}

fn discovery(agent: &Scripted) -> Discovery {
    Discovery::new(Settings::new(AgentSettings::new(agent.addr()))).unwrap()
}

async fn check(rows: impl IntoIterator<Item = Row>) {
    side_by_side(rows.into_iter().map(|row| (row.name, run(row)))).await;
}

/// Runs these cases, and names one that panics.
async fn side_by_side<C>(cases: impl Iterator<Item = (&'static str, C)>)
where
    C: Future<Output = ()> + Send + 'static,
{
    let mut running = JoinSet::new();
    for (name, case) in cases {
        let case = tokio::spawn(case);
        running.spawn(async move {
            if let Err(failed) = case.await {
                panic!("an agent that {name}: {failed}");
            }
        });
    }
    running.join_all().await;
}

async fn run(Row { act, shows, most, .. }: Row) {
    let agent = Scripted::start(Act::Serve(INDEX, good(INDEX, [80]))).await.unwrap();
    let discovery = discovery(&agent);
    let mut watch = discovery.watch("web");
    until_instances(&mut watch, KNOWN).await;
    agent.set(act);
    let counts = || [agent.requests(), agent.accepted(), agent.with_index()];
    misbehaves(&mut watch, &shows, agent.addr(), counts, most).await;

    // It behaves again. It has been restarted too: its index starts anew.
    for (index, ports, now) in [
        (5, vec![80, 81], &["10.0.0.1:80 passing", "10.0.0.1:81 passing"][..]),
        (6, vec![81], &["10.0.0.1:81 passing"]),
    ] {
        agent.set(Act::Serve(index, good(index, ports)));
        until(&mut watch, |it| it.failure.is_none() && shown(it) == now).await;
    }
}

/// Checks what the watch shows, and how often it asks, from the time at which it shows that its agent misbehaves. `counts` are those of the
/// agent: requests, connections, requests with an index.
async fn misbehaves(
    watch: &mut Watch,
    shows: &Shows,
    agent: SocketAddr,
    counts: impl Fn() -> [u64; 3],
    most: fn(Duration) -> u64,
) {
    let agent = agent.to_string();
    let first = until(watch, |watched| shows.holds(watched, &agent)).await;
    let (before, start) = (counts(), Instant::now());
    while timeout_at(start + WINDOW, watch.changed()).await.is_ok() {
        assert_shown(shows, &watch.current(), &agent);
    }
    let again = timeout(SOON, async {
        while counts() == before {
            sleep(Duration::from_millis(10)).await;
        }
    });
    again.await.expect("no further request");
    let [asked, accepted, with_index] = counts();
    let (asked, accepted) = (asked - before[0], accepted - before[1]);
    let allowed = most(start.elapsed());
    assert!(asked <= allowed, "{asked} requests, not {allowed}");
    assert!(accepted <= allowed * TRIES, "{accepted} connections");
    let last = watch.current();
    assert_shown(shows, &last, &agent);
    if let Shows::Failure(_) = shows {
        assert_eq!(as_of(&last), as_of(&first), "its age grows");
        assert_eq!(with_index, before[2], "the index may be that of another agent");
    }
}

impl Shows {
    fn holds(&self, watched: &Watched, agent: &str) -> bool {
        match (self, &watched.failure) {
            (Self::Failure(text), Some(failure)) => {
                shown(watched) == KNOWN && reason(failure, agent).starts_with(text)
            }
            (Self::Instances(instances), None) => shown(watched) == *instances,
            (Self::Failure(_), None) | (Self::Instances(_), Some(_)) => false,
        }
    }
}

#[track_caller]
fn assert_shown(shows: &Shows, watched: &Watched, agent: &str) {
    assert!(shows.holds(watched, agent), "{:?}, {:?}", shown(watched), watched.failure);
}

/// The text of an error after the request, in which the agent has no port.
fn reason(failure: &discovery::Error, agent: &str) -> String {
    let text = failure.to_string().replace(agent, "AGENT");
    text.split_once(": ").map(|(_, reason)| reason.to_owned()).unwrap_or(text)
}
