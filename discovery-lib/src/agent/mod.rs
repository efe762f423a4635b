//! The HTTP API of a Consul agent: the dozen calls that discovery needs, and no more.
//!
//! Every call has a deadline, every body a limit. What Consul answers is turned into our own words by those who ask (`watch`,
//! `registration`); the wire types stop there. Source: <https://developer.hashicorp.com/consul/api-docs>.

mod address;
mod credentials;
mod entries;
mod node;
mod question;
mod request;
#[cfg(test)]
mod tests;
mod token;
mod transport;

use std::time::Duration;

use consul_wire::{
    agent::{AgentSelf, AgentService, ServiceRegistration},
    catalog, query,
    service::ServiceEntry,
};
use http::StatusCode;

pub use address::Address;
pub(crate) use address::{NO_TLS, is_host, split_host_port};
pub use credentials::{BasicAuth, Secret, Token};
pub use question::{Answer, LeftOut, Question};

use crate::{Error, Host, ServiceId, instance::INCARNATION};
use request::Request;
use transport::Transport;

/// Registration: an agent without a quorum behind it takes some 7 s, and still does it.
pub(crate) const REGISTER_WITHIN: Duration = Duration::from_secs(10);
/// Beats, maintenance, deregistration and the agent's own view of a service: answered from the agent's memory.
pub(crate) const LOCAL_WITHIN: Duration = Duration::from_secs(1);
/// Reads of the catalog that do not wait for a change: without a leader they fail after 7 s.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// How to reach an agent, and in whose name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentSettings {
    /// Where it is.
    pub address: Address,
    /// The ACL token.
    pub token: Token,
    /// For a reverse proxy that asks for a user.
    pub auth: Option<BasicAuth>,
    /// Consul Enterprise's namespace.
    pub namespace: Option<String>,
    /// Consul Enterprise's admin partition.
    pub partition: Option<String>,
}

/// Whether a service is taken out of everybody's choice by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Maintenance {
    /// Out, for this reason.
    On(String),
    /// Back in.
    Off,
}

/// Which run an instance is; none if another library registered it.
pub(crate) fn run_of(entry: &ServiceEntry) -> Option<&str> {
    entry.service.meta.get(INCARNATION).map(String::as_str)
}

/// A client of one agent. Cheap to clone; clones share connections.
///
/// Each method asks once. Dropping its future closes the connection that it used: whether the agent did what it was asked is then not
/// known, as after a timeout.
#[derive(Debug, Clone)]
pub struct AgentClient {
    transport: Transport,
}

impl AgentClient {
    /// A client with these settings. Connects to nothing yet.
    ///
    /// # Errors
    /// When no HTTP client can be made of the settings.
    pub fn new(settings: AgentSettings) -> Result<Self, Error> {
        Ok(Self { transport: Transport::new(settings)? })
    }

    /// Where the agent is.
    pub fn address(&self) -> &Address {
        &self.transport.settings().address
    }

    /// Registers a service at the agent, in place of one of the same id and of all its checks. Within 10 s.
    ///
    /// # Errors
    /// Nobody answered (in time: it may be done nevertheless), or the agent refused.
    pub async fn register(&self, service: &ServiceRegistration) -> Result<(), Error> {
        let mut request = Request::put("/v1/agent/service/register", REGISTER_WITHIN)
            .query(query::REPLACE_EXISTING_CHECKS, "true");
        let body = serde_json::to_vec(service).map_err(|err| {
            Error::new(crate::error::Kind::Setting, "the registration can't be written as JSON")
                .because(err)
        })?;
        request.body = Some(body);
        self.done(request).await
    }

    /// Takes a service and its checks off the agent; one that it does not have is done too. Within 1 s.
    ///
    /// # Errors
    /// Nobody answered (in time: it may be done nevertheless), or the agent refused.
    pub async fn deregister(&self, id: &ServiceId) -> Result<(), Error> {
        let request =
            Request::put("/v1/agent/service/deregister", LOCAL_WITHIN).segment(id.as_str())?;
        match self.done(request).await {
            Err(err) if err.is_not_found() => Ok(()),
            outcome => outcome,
        }
    }

    /// Says that a TTL check passes; the note is shown as its output. Within 1 s.
    ///
    /// # Errors
    /// Nobody answered (in time), or the agent refused: it may not know the check.
    pub async fn pass(&self, check_id: &str, note: &str) -> Result<(), Error> {
        let request = Request::put("/v1/agent/check/pass", LOCAL_WITHIN)
            .segment(check_id)?
            .query(query::NOTE, note);
        self.done(request).await
    }

    /// Puts a service into maintenance, or takes it out again. Within 1 s.
    ///
    /// # Errors
    /// Nobody answered (in time), or the agent refused: it may not know the service.
    pub async fn maintain(&self, id: &ServiceId, maintenance: Maintenance) -> Result<(), Error> {
        let request =
            Request::put("/v1/agent/service/maintenance", LOCAL_WITHIN).segment(id.as_str())?;
        let request = match maintenance {
            Maintenance::On(reason) => {
                request.query(query::ENABLE, "true").query(query::REASON, &reason)
            }
            Maintenance::Off => request.query(query::ENABLE, "false"),
        };
        self.done(request).await
    }

    /// A service as the agent itself knows it; none if it does not. Within 1 s.
    ///
    /// # Errors
    /// Nobody answered (in time), the agent refused, or what it says makes no sense.
    pub async fn service(&self, id: &ServiceId) -> Result<Option<AgentService>, Error> {
        let request = Request::get("/v1/agent/service", LOCAL_WITHIN).segment(id.as_str())?;
        let reply = self.transport.send(request).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        reply.success()?.json().map(Some)
    }

    /// All instances of a service with their nodes and checks, whatever their status. Within 10 s, or `wait` * 17/16 + 5 s when the
    /// question waits for a change. A record that can't be read is left out ([`Answer::left_out`]).
    ///
    /// # Errors
    /// Nobody answered (in time), the agent refused, or what it says makes no sense.
    pub async fn health(
        &self,
        service: &str,
        question: &Question,
    ) -> Result<Answer<Vec<ServiceEntry>>, Error> {
        let request = Request::get("/v1/health/service", READ_WITHIN).segment(service)?;
        let reply = self.transport.send(request.question(question)).await?.success()?;
        let (entries, left_out) = entries::read(&reply)?;
        if entries.is_empty() && left_out.is_empty() {
            reply.not_emptied_by_acls()?;
        }
        Ok(Answer::new(entries, left_out, &reply.headers))
    }

    /// The node of the agent that has this service; none if it has no check of it. Within 1 s.
    pub(crate) async fn node_of(&self, id: &ServiceId) -> Result<Option<String>, Error> {
        let request =
            Request::get("/v1/agent/health/service/id", LOCAL_WITHIN).segment(id.as_str())?;
        let reply = self.transport.send(request).await?;
        // The status says how healthy it is. A service that the agent does not have has no checks.
        let health: node::Health = match reply.status {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => reply.json()?,
            _ => reply.success()?.json()?,
        };
        Ok(health.node())
    }

    /// What the catalog, from which others read, shows of a node: its services, without their checks; none if it does not show the node. As
    /// many as run there, however many others their services have elsewhere. Any server may answer. Within 10 s.
    pub(crate) async fn on_node(&self, node: &str) -> Result<Option<Vec<ServiceEntry>>, Error> {
        let question = Question { stale: true, ..Question::default() };
        let request = Request::get("/v1/catalog/node", READ_WITHIN).segment(node)?;
        let reply = self.transport.send(request.question(&question)).await?.success()?;
        let shown: Option<node::Shown> = reply.json()?;
        Ok(shown.map(node::Shown::entries))
    }

    /// The address of the agent's node, as far as the token may read it. Within 1 s.
    pub(crate) async fn node_address(&self) -> Option<Host> {
        let request = Request::get("/v1/agent/self", LOCAL_WITHIN);
        let reply = self.transport.send(request).await.ok()?.success().ok()?;
        reply.json::<node::AgentSelf>().ok()?.address()
    }

    /// The names of all services, each with all tags of its instances. Deadline as [`AgentClient::health`].
    ///
    /// # Errors
    /// Nobody answered (in time), the agent refused, or what it says makes no sense.
    pub async fn services(&self, question: &Question) -> Result<Answer<catalog::Services>, Error> {
        let request = Request::get("/v1/catalog/services", READ_WITHIN).question(question);
        let reply = self.transport.send(request).await?.success()?;
        let services: catalog::Services = reply.json()?;
        if services.is_empty() {
            reply.not_emptied_by_acls()?;
        }
        Ok(Answer::new(services, Vec::new(), &reply.headers))
    }

    /// What the agent says of itself. Within 1 s.
    ///
    /// # Errors
    /// Nobody answered (in time), the agent refused, or what it says makes no sense.
    pub async fn agent_self(&self) -> Result<AgentSelf, Error> {
        let request = Request::get("/v1/agent/self", LOCAL_WITHIN);
        self.transport.send(request).await?.success()?.json()
    }

    /// The address of the cluster's leader (its Raft port); none when there is no leader. Within 10 s.
    ///
    /// # Errors
    /// Nobody answered (in time), the agent refused, or what it says makes no sense.
    pub async fn leader(&self) -> Result<Option<String>, Error> {
        let request = Request::get("/v1/status/leader", READ_WITHIN);
        let leader: String = self.transport.send(request).await?.success()?.json()?;
        Ok((!leader.is_empty()).then_some(leader))
    }

    async fn done(&self, request: Request) -> Result<(), Error> {
        self.transport.send(request).await?.success().map(drop)
    }
}
