//! Clears away what died where this instance starts.
//!
//! A machine that lost its power comes back with an agent that remembers all that ran there: as passing for a TTL, then as critical for a
//! minute. Callers get over that, but who asks DNS gets addresses at which nobody is. So an instance that has just been registered looks for
//! others of its name, node and address, and takes those off the agent at which connections are refused. They can't be alive: an instance
//! listens before it registers, and deregisters before it stops to listen.
//!
//! It is no more than a courtesy: what does not work out is left to the agent's own time limits.

use consul_wire::service::ServiceEntry;
use tokio::{net::TcpStream, time::timeout};
use tracing::info;

use super::subject::Subject;
use crate::{
    Error, ServiceId,
    agent::{AgentClient, LOCAL_WITHIN, run_of},
    instance::INCARNATION,
};

/// So many instances that may be dead are looked at.
const SWEPT_MAX: usize = 64;

/// Takes the dead off the agent.
///
/// # Errors
/// The agent did not say who there is, or could not be told of one.
pub(super) async fn sweep(agent: &AgentClient, subject: &Subject) -> Result<(), Error> {
    let Some(node) = subject.node.get() else { return Ok(()) };
    let Some(entries) = agent.on_node(node).await? else { return Ok(()) };
    let Some(own) = entries.iter().find(|it| subject.is_run(it)) else { return Ok(()) };
    // Where not even its own address leads back to it, others' say nothing.
    if connection(own).await != Connection::Made {
        return Ok(());
    }
    for entry in entries.iter().filter(|it| is_neighbour(it, own)).take(SWEPT_MAX) {
        if connection(entry).await == Connection::Refused {
            bury(agent, entry).await?;
        }
    }
    Ok(())
}

/// Another instance that runs, or ran, where this one does. One that another library registered may be known to listen later, or never.
fn is_neighbour(other: &ServiceEntry, own: &ServiceEntry) -> bool {
    other.service.id != own.service.id
        && other.service.service == own.service.service
        && other.address() == own.address()
        && run_of(other).is_some()
}

/// Deregisters the run that was found dead, but not one that has since taken its place.
async fn bury(agent: &AgentClient, entry: &ServiceEntry) -> Result<(), Error> {
    let id = ServiceId::from(entry.service.id.as_str());
    let Some(now) = agent.service(&id).await? else { return Ok(()) };
    if now.meta.get(INCARNATION).map(String::as_str) == run_of(entry) {
        agent.deregister(&id).await?;
        info!(service = %entry.service.service, %id, "deregistered an instance that died here");
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Made,
    Refused,
    Unknown,
}

async fn connection(to: &ServiceEntry) -> Connection {
    match timeout(LOCAL_WITHIN, TcpStream::connect((to.address(), to.service.port))).await {
        Ok(Ok(_)) => Connection::Made,
        Ok(Err(err)) if err.kind() == std::io::ErrorKind::ConnectionRefused => Connection::Refused,
        Ok(Err(_)) | Err(_) => Connection::Unknown,
    }
}
