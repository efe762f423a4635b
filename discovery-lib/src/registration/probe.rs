//! Whether an instance can be reached at the address to publish.
//!
//! The kernel accepts connections for a bound listener before its program does, so a connection alone is not enough. The program signals when it
//! accepts ([`Gate`]), or has its own [`Probe`]. Then a connection to the published address is made, as far as this machine can reach it: with
//! a wrong one, every call would fail.

use std::{fmt, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};
use tracing::warn;

use super::{
    advertise::{accepts, addresses, other_family},
    machine::{Place, Probed},
    subject::Subject,
};
use crate::{
    Host,
    agent::AgentClient,
    error::{Error, Kind},
};

/// The deadline of a connection to the instance.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// The deadline of a program's own probe.
const PROBE_WITHIN: Duration = Duration::from_secs(10);
/// A warning is logged if the program does not signal in this time that it accepts connections.
const GATE_WARNING_AFTER: Duration = Duration::from_secs(10);

type Cause = Box<dyn std::error::Error + Send + Sync>;
type Probing = Pin<Box<dyn Future<Output = Result<(), Cause>> + Send>>;

/// A program's own readiness probe.
#[derive(Clone)]
pub(super) struct Probe(Arc<dyn Fn() -> Probing + Send + Sync>);

impl Probe {
    pub(super) fn new<P, A, E>(probe: P) -> Self
    where
        P: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Cause>,
    {
        Self(Arc::new(move || {
            let probing = probe();
            Box::pin(async { probing.await.map_err(Into::into) })
        }))
    }

    async fn ask(&self) -> Result<(), Error> {
        let silent = |cause: Cause| {
            Error::new(Kind::Unreachable, "its readiness probe failed").because(cause)
        };
        match timeout(PROBE_WITHIN, self.0()).await {
            Ok(answer) => answer.map_err(silent),
            Err(_) => Err(silent(format!("no answer within {PROBE_WITHIN:?}").into())),
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

/// Open once the program accepts connections.
#[derive(Debug, Default)]
pub(super) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(super) fn open(&self) {
        self.0.send_replace(true);
    }

    async fn opened(&self) {
        // The sender is borrowed here, so the wait ends only when the gate is open.
        self.0.subscribe().wait_for(|open| *open).await.ok();
    }
}

/// Waits until the program accepts connections, determines its place, and connects to it.
pub(super) async fn probe(
    agent: &AgentClient,
    subject: &Subject,
    current: Option<Place>,
) -> (Probed, Option<Error>) {
    match answering(agent, subject, current).await {
        Ok(place) => (Probed::Answered(place), None),
        Err(err) if err.is_setting() => (Probed::Refused, Some(err)),
        Err(err) => (Probed::Silent, Some(err)),
    }
}

async fn answering(
    agent: &AgentClient,
    subject: &Subject,
    current: Option<Place>,
) -> Result<Place, Error> {
    let registration = &subject.registration;
    match &registration.probe {
        Some(probe) => probe.ask().await?,
        None => accepting(subject).await,
    }
    let place = registration
        .advertise
        .place(registration.local, agent.address(), &subject.names, current)
        .await?;
    if registration.probe.is_none() {
        reach(agent, subject, place).await?;
    }
    Ok(place)
}

async fn accepting(subject: &Subject) {
    let opened = subject.gate.opened();
    tokio::pin!(opened);
    tokio::select! {
        () = &mut opened => return,
        () = sleep(GATE_WARNING_AFTER) => warn!(
            service = %subject.registration.name, instance = %subject.id,
            "not registered yet: the program has not called set_accepting"
        ),
    }
    opened.await;
}

/// Connects to the published address. Others may reach one that this machine can't: then a connection to the local address is enough.
async fn reach(agent: &AgentClient, subject: &Subject, place: Place) -> Result<(), Error> {
    let near = subject.near();
    let port = subject.registration.port();
    let published = match place {
        Place::At(ip) => Some(Host::Ip(ip)),
        Place::Advertised => subject.registration.advertise.host.clone(),
        // The local address first: if that fails, no request to the agent is needed.
        Place::Node => {
            connect_near(subject).await.map_err(|err| silent(near, err))?;
            agent.node_address().await
        }
    };
    let Some(host) = published else { return Ok(()) };
    let failed = match connect(subject, &host, port).await {
        Ok(()) => return Ok(()),
        Err(err) if err.kind() == io::ErrorKind::ConnectionRefused => {
            if place == Place::Node && is_other_family(near, &host) {
                let node = format_args!("the agent's node at {host}");
                return Err(other_family(subject.registration.local, node));
            }
            return Err(silent(format!("{host}:{port}"), err));
        }
        Err(err) => err,
    };
    if subject.is_near(&host, port) {
        return Err(silent(near, failed));
    }
    connect_near(subject).await.map_err(|err| silent(near, err))?;
    subject.warn_unchecked(&host, port, &failed);
    Ok(())
}

/// Whether a listener at this address can never accept connections to the host.
fn is_other_family(listens: SocketAddr, host: &Host) -> bool {
    matches!(host, Host::Ip(ip) if !accepts(listens.ip().to_canonical(), *ip))
}

fn silent(at: impl fmt::Display, err: io::Error) -> Error {
    Error::new(
        Kind::Unreachable,
        format!("can't connect to the instance at {at}, the address to publish"),
    )
    .because(err)
}

async fn connect_near(subject: &Subject) -> io::Result<()> {
    let near = subject.near();
    connect(subject, &Host::Ip(near.ip()), near.port()).await
}

async fn connect(subject: &Subject, host: &Host, port: u16) -> io::Result<()> {
    let connected =
        async { TcpStream::connect(&*addresses(&subject.names, host, port).await?).await };
    match timeout(CONNECT_WITHIN, connected).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
