//! Whether an instance can be reached where it is about to be published.
//!
//! A bound listener takes connections in the kernel, long before its program accepts one, so a connection alone proves nothing. The program
//! says when it accepts ([`Gate`]), or gives a [`Probe`] of its own. Then the published address is connected to, as far as this machine can
//! reach it: a wrong one would send every caller to nobody.

use std::{fmt, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};
use tracing::warn;

use super::{
    advertise::{accepts, other_family},
    machine::{Place, Probed},
    subject::Subject,
};
use crate::{
    Host,
    agent::AgentClient,
    error::{Error, Kind},
};

/// Something that listens on this machine answers in this time.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// A program's own probe answers in this time.
const PROBE_WITHIN: Duration = Duration::from_secs(10);
/// A program that has not said that it accepts for so long may have forgotten to.
const GATE_TOLD_AFTER: Duration = Duration::from_secs(10);

type Cause = Box<dyn std::error::Error + Send + Sync>;
type Probing = Pin<Box<dyn Future<Output = Result<(), Cause>> + Send>>;

/// A program's own word on whether an instance serves.
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
            Error::new(Kind::Unreachable, "its own probe says that it does not serve")
                .because(cause)
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
        // It can't end before it is open: the sender is borrowed here.
        self.0.subscribe().wait_for(|open| *open).await.ok();
    }
}

/// Waits until the program accepts, finds out where it is, and looks whether it answers there.
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
    let place = registration.advertise.place(registration.local, agent.address(), current).await?;
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
        () = sleep(GATE_TOLD_AFTER) => warn!(
            service = subject.registration.name, id = %subject.id,
            "not registered: the program has not said that it accepts connections (set_accepting)"
        ),
    }
    opened.await;
}

/// Connects to the published address. One that can't be reached from here may be reached by others: then the instance's own must do.
async fn reach(agent: &AgentClient, subject: &Subject, place: Place) -> Result<(), Error> {
    let near = subject.near();
    let port = subject.registration.port();
    let published = match place {
        Place::At(ip) => Some(Host::Ip(ip)),
        Place::Advertised => subject.registration.advertise.host.clone(),
        // Its own address first: without it there is nothing to ask the agent for.
        Place::Node => {
            connect(&Host::Ip(near.ip()), near.port()).await.map_err(|err| silent(near, err))?;
            agent.node_address().await
        }
    };
    let Some(host) = published else { return Ok(()) };
    let failed = match connect(&host, port).await {
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
    connect(&Host::Ip(near.ip()), near.port()).await.map_err(|err| silent(near, err))?;
    subject.tell_unchecked(&host, port, &failed);
    Ok(())
}

/// Whether nothing that listens there takes connections to the host, whatever comes.
fn is_other_family(listens: SocketAddr, host: &Host) -> bool {
    matches!(host, Host::Ip(ip) if !accepts(listens.ip().to_canonical(), *ip))
}

fn silent(at: impl fmt::Display, err: io::Error) -> Error {
    Error::new(
        Kind::Unreachable,
        format!("nothing answers at {at}, where others would look for it"),
    )
    .because(err)
}

async fn connect(host: &Host, port: u16) -> io::Result<()> {
    let connected = async {
        match host {
            Host::Ip(ip) => TcpStream::connect(SocketAddr::new(*ip, port)).await,
            Host::Name(name) => TcpStream::connect((&**name, port)).await,
        }
    };
    match timeout(CONNECT_WITHIN, connected).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
