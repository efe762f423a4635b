//! Connection attempts, each with a deadline.

use std::{io, time::Duration};

use discovery::agent::Address;
use tokio::{
    net::{TcpStream, UnixStream, lookup_host},
    task::JoinSet,
    time::timeout,
};

use super::Dials;
use crate::{doctor::facts::Dial, look::Consul};

/// Deadline of one attempt, with the lookup of its name.
const CONNECT_WITHIN: Duration = Duration::from_millis(700);
/// Attempts at the same time.
const ATTEMPTS_MAX: usize = 64;

/// The attempts to all of these addresses. Those that would be too late are `NotTried`.
pub(super) async fn all(addresses: Vec<(String, u16)>) -> Dials {
    let mut dials: Dials = addresses.into_iter().map(|it| (it, Dial::NotTried)).collect();
    let mut waiting: Vec<_> = dials.keys().cloned().collect();
    let mut attempts = JoinSet::new();
    let all = async {
        loop {
            while attempts.len() < ATTEMPTS_MAX
                && let Some((host, port)) = waiting.pop()
            {
                attempts.spawn(async move {
                    let dial = tcp(&host, port).await;
                    ((host, port), dial)
                });
            }
            match attempts.join_next().await {
                Some(Ok((address, dial))) => _ = dials.insert(address, dial),
                Some(Err(_)) => {}
                None => return,
            }
        }
    };
    // Twice: an unreachable half of many addresses must not hide the rest.
    timeout(CONNECT_WITHIN * 2, all).await.ok();
    dials
}

pub(super) async fn agent(consul: &Consul) -> Dial {
    match consul.discovery().agent().address() {
        Address::Unix(path) => match timeout(CONNECT_WITHIN, UnixStream::connect(path)).await {
            Ok(connected) => result(connected.map(drop)),
            Err(_) => Dial::TimedOut,
        },
        _ => match super::host_and_port(consul) {
            Some((host, port)) => tcp(&host, port).await,
            None => Dial::NotTried,
        },
    }
}

async fn tcp(host: &str, port: u16) -> Dial {
    let attempt = async {
        let Ok(found) = lookup_host((host, port)).await else { return Dial::NameUnknown };
        let found: Vec<_> = found.collect();
        result(TcpStream::connect(&*found).await.map(drop))
    };
    timeout(CONNECT_WITHIN, attempt).await.unwrap_or(Dial::TimedOut)
}

fn result(connected: io::Result<()>) -> Dial {
    match connected {
        Ok(()) => Dial::Connected,
        Err(err) if err.kind() == io::ErrorKind::ConnectionRefused => Dial::Refused,
        Err(err) if err.kind() == io::ErrorKind::TimedOut => Dial::TimedOut,
        Err(err) => Dial::Failed(err.to_string()),
    }
}
