//! Deregisters dead instances at the address of this one.
//!
//! After a power failure, the agent of a machine still has all instances that ran there: passing for one TTL, then critical for a minute.
//! Callers of this library avoid them, but DNS returns their addresses. So after its registration, an instance searches for others of its name,
//! node and address, and deregisters those that refuse connections. Their processes have ended: an instance listens before it registers, and
//! deregisters before it stops listening.
//!
//! This is best effort: what fails is left to the time limits of the agent.

use consul_wire::service::ServiceEntry;
use tokio::{net::TcpStream, time::timeout};
use tracing::info;

use super::{advertise::addresses, subject::Subject};
use crate::{
    Error, Host, ServiceId,
    agent::{AgentClient, LOCAL_WITHIN, run_of},
    instance::INCARNATION,
};

/// The maximum number of instances that are checked.
const SWEPT_MAX: usize = 64;

/// Deregisters dead instances.
///
/// # Errors
/// The instances could not be read, or one could not be deregistered.
pub(super) async fn sweep(agent: &AgentClient, subject: &Subject) -> Result<(), Error> {
    let Some(node) = subject.node.get() else { return Ok(()) };
    let Some(entries) = agent.on_node(node).await? else { return Ok(()) };
    let Some(own) = entries.iter().find(|it| subject.is_run(it)) else { return Ok(()) };
    // If even its own address can't be reached, a refused connection proves nothing.
    if connection(subject, own).await != Connection::Made {
        return Ok(());
    }
    for entry in entries.iter().filter(|it| is_neighbour(it, own)).take(SWEPT_MAX) {
        if connection(subject, entry).await == Connection::Refused {
            deregister_run(agent, entry).await?;
        }
    }
    Ok(())
}

/// Whether another instance has the name and address of this one. One that another library registered is excluded: it may listen later.
fn is_neighbour(other: &ServiceEntry, own: &ServiceEntry) -> bool {
    other.service.id != own.service.id
        && other.service.service == own.service.service
        && other.address() == own.address()
        && run_of(other).is_some()
}

/// Deregisters the run that was found dead, but not one that has replaced it since.
async fn deregister_run(agent: &AgentClient, entry: &ServiceEntry) -> Result<(), Error> {
    let id = ServiceId::from(entry.service.id.as_str());
    let Some(now) = agent.service(&id).await? else { return Ok(()) };
    if now.meta.get(INCARNATION).map(String::as_str) == run_of(entry) {
        agent.deregister(&id).await?;
        info!(service = %entry.service.service, instance = %id, "deregistered a dead instance at the address of this one");
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Made,
    Refused,
    Unknown,
}

async fn connection(subject: &Subject, to: &ServiceEntry) -> Connection {
    let host = Host::from(to.address());
    let connected = async {
        let to = addresses(&subject.names, &host, to.service.port).await?;
        TcpStream::connect(&*to).await
    };
    match timeout(LOCAL_WITHIN, connected).await {
        Ok(Ok(_)) => Connection::Made,
        Ok(Err(err)) if err.kind() == std::io::ErrorKind::ConnectionRefused => Connection::Refused,
        Ok(Err(_)) | Err(_) => Connection::Unknown,
    }
}
