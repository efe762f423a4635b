//! The HTTP API of a Consul agent: the calls that discovery needs, and no others.
//!
//! Each call has a deadline, each body a limit. The callers (`watch`, `registration`) convert the wire types into the types of this library.
//! Source: <https://developer.hashicorp.com/consul/api-docs>.

mod address;
mod connect;
mod credentials;
mod entries;
pub(crate) mod exchange;
mod last_answer;
mod list;
mod node;
mod read;
mod request;
mod sockets;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod transport;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use consul_wire::{
    agent::{AgentSelf, AgentService, ServiceRegistration},
    catalog,
    check::CheckStatus,
    query,
    service::ServiceEntry,
};
use http::StatusCode;

/// The JSON of Consul's HTTP API, in which [`AgentClient`] answers.
pub use consul_wire as wire;

pub use crate::tls::{ClientCertificate, Tls, Verification};
pub use address::{Address, Scheme};
pub(crate) use address::{is_host, split_host_port};
pub use credentials::{BasicAuth, Secret, Token};
pub(crate) use last_answer::LastAnswer;
pub(crate) use node::{AtAgent, CheckAtAgent};
pub use read::{Answer, LeftOut, ReadOptions};

use crate::{Error, Host, Query, ServiceId, instance::INCARNATION};
use exchange::Http;
pub(crate) use request::ESCAPED;
use request::Request;
use sockets::Sockets;
use transport::{Reply, Transport};

/// Registration: an agent without a quorum answers after some 7 s, and still registers.
pub(crate) const REGISTER_WITHIN: Duration = Duration::from_secs(10);
/// Heartbeats, maintenance, deregistration and the agent's own view of a service: answered from the agent's memory.
pub(crate) const LOCAL_WITHIN: Duration = Duration::from_secs(1);
/// Reads of the catalog that do not wait for a change: without a leader they fail after 7 s.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// The address of an agent and the credentials for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentSettings {
    /// Its address. Default: 127.0.0.1:8500.
    pub address: Address,
    /// Certificates, if the address is `https://`.
    pub tls: Tls,
    /// The ACL token.
    pub token: Token,
    /// For a reverse proxy with basic authentication.
    pub auth: Option<BasicAuth>,
    /// Consul Enterprise's namespace.
    pub namespace: Option<String>,
    /// Consul Enterprise's admin partition.
    pub partition: Option<String>,
}

impl AgentSettings {
    /// The agent at this address, without credentials.
    pub fn new(address: impl Into<Address>) -> Self {
        Self { address: address.into(), ..Self::default() }
    }

    /// Sets the ACL token.
    #[must_use]
    pub fn token(mut self, token: Token) -> Self {
        self.token = token;
        self
    }

    /// Sets the certificates.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }
}

/// Maintenance mode of a service: no caller uses a service that is in maintenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Maintenance {
    /// In maintenance, for this reason.
    On(String),
    /// Not in maintenance.
    Off,
}

/// The id of the run of an instance; none if another library registered it.
pub(crate) fn run_of(entry: &ServiceEntry) -> Option<&str> {
    entry.service.meta.get(INCARNATION).map(String::as_str)
}

/// A client of one agent. Cheap to clone; clones share connections.
///
/// Each method sends one request. Dropping its future closes the connection: the agent may still execute the request, as after a timeout.
#[derive(Debug, Clone)]
pub struct AgentClient {
    transport: Transport,
}

impl AgentClient {
    /// A client with these settings. Connects to nothing yet, and reads no file.
    ///
    /// # Errors
    /// The settings can't be used: `https://` without the feature `tls`, or a server name that is none.
    pub fn new(settings: AgentSettings) -> Result<Self, Error> {
        let http = Sockets::new(&settings)?;
        Ok(Self::with_http(settings, Arc::new(http)))
    }

    /// A client that sends its requests with `http`.
    pub(crate) fn with_http(settings: AgentSettings, http: Arc<dyn Http>) -> Self {
        Self { transport: Transport::new(settings, http) }
    }

    /// The address of the agent.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.transport.settings().address
    }

    /// Registers a service at the agent, in place of one of the same id and of all its checks. Within 10 s.
    ///
    /// # Errors
    /// No answer (in time: the agent may still have executed it), or the agent refused.
    pub async fn register(&self, service: &ServiceRegistration) -> Result<(), Error> {
        let request = Request::put("/v1/agent/service/register", REGISTER_WITHIN);
        self.send_service(request.query(query::REPLACE_EXISTING_CHECKS, "true"), service).await
    }

    /// Registers a service at the agent, in place of one of the same id. Checks that are not in the registration stay. Within 10 s.
    pub(crate) async fn renew(&self, service: &ServiceRegistration) -> Result<(), Error> {
        let request = Request::put("/v1/agent/service/register", REGISTER_WITHIN);
        self.send_service(request, service).await
    }

    async fn send_service(
        &self,
        mut request: Request,
        service: &ServiceRegistration,
    ) -> Result<(), Error> {
        let body = serde_json::to_vec(service).map_err(|err| {
            Error::new(crate::error::Kind::Setting, "the registration can't be written as JSON")
                .because(err)
        })?;
        request.body = Some(body);
        self.done(request).await
    }

    /// Deregisters a service and its checks; a service that the agent does not have is no error. Within 1 s.
    ///
    /// # Errors
    /// No answer (in time: the agent may still have executed it), or the agent refused.
    pub async fn deregister(&self, id: &ServiceId) -> Result<(), Error> {
        let request =
            Request::put("/v1/agent/service/deregister", LOCAL_WITHIN).segment(id.as_str())?;
        match self.done(request).await {
            Err(err) if err.is_not_found() => Ok(()),
            outcome => outcome,
        }
    }

    /// Deregisters a check; one that the agent does not have is no error. Within 1 s.
    pub(crate) async fn deregister_check(&self, check_id: &str) -> Result<(), Error> {
        let request = Request::put("/v1/agent/check/deregister", LOCAL_WITHIN).segment(check_id)?;
        match self.done(request).await {
            Err(err) if err.is_not_found() => Ok(()),
            outcome => outcome,
        }
    }

    /// Sets a TTL check to passing; the note becomes its output. Within 1 s.
    ///
    /// # Errors
    /// No answer (in time), or the agent refused: it may not have the check.
    pub async fn pass(&self, check_id: &str, note: &str) -> Result<(), Error> {
        self.report(check_id, CheckStatus::Passing, note).await
    }

    /// Sets a TTL check to a status; the note becomes its output. Within 1 s.
    ///
    /// # Errors
    /// No answer (in time), or the agent refused: it may not have the check.
    pub async fn report(
        &self,
        check_id: &str,
        status: CheckStatus,
        note: &str,
    ) -> Result<(), Error> {
        let path = match status {
            CheckStatus::Passing => "/v1/agent/check/pass",
            CheckStatus::Warning => "/v1/agent/check/warn",
            CheckStatus::Critical => "/v1/agent/check/fail",
        };
        let request = Request::put(path, LOCAL_WITHIN).segment(check_id)?.query(query::NOTE, note);
        self.done(request).await
    }

    /// Turns the maintenance mode of a service on or off. Within 1 s.
    ///
    /// # Errors
    /// No answer (in time), or the agent refused: it may not have the service.
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

    /// A service as registered at this agent; none if it is not. Within 1 s.
    ///
    /// # Errors
    /// No answer (in time), the agent refused, or its answer can't be parsed.
    pub async fn service(&self, id: &ServiceId) -> Result<Option<AgentService>, Error> {
        let request = Request::get("/v1/agent/service", LOCAL_WITHIN).segment(id.as_str())?;
        let reply = self.transport.send(request).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        reply.success()?.json().map(Some)
    }

    /// The instances of a query with their nodes and checks. Within 10 s, or `wait` * 17/16 + 5 s with `after`: then the agent waits for a
    /// change after that index, for at most `wait`, which is at most 10 min. A prepared query is executed, without waiting; tags, filter and
    /// node meta do not apply to it. A record that can't be parsed or is of another service is left out ([`Answer::left_out`]). The source of the query is
    /// ignored.
    ///
    /// # Errors
    /// No answer (in time), the agent refused, or its answer can't be parsed or is of another service.
    pub async fn health(
        &self,
        query: &Query,
        after: Option<(u64, Duration)>,
    ) -> Result<Answer<Vec<ServiceEntry>>, Error> {
        let reply = self.ask(query, after).await?;
        let (entries, left_out) = entries::read(&reply, query)?;
        Ok(Answer::new(entries, left_out, &reply))
    }

    /// As [`AgentClient::health`] for the same query again and again: `make` is called only for records that the last answer did not have. It
    /// gets the record, and what it made of the one before.
    pub(crate) async fn health_again<T: Clone>(
        &self,
        query: &Query,
        after: Option<(u64, Duration)>,
        last: &Mutex<LastAnswer<T>>,
        make: impl FnMut(ServiceEntry, Option<&T>) -> T,
    ) -> Result<Answer<Vec<T>>, Error> {
        let reply = self.ask(query, after).await?;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let (made, left_out) = entries::read_again(&reply, query, &mut last, make)?;
        Ok(Answer::new(made, left_out, &reply))
    }

    async fn ask(&self, query: &Query, after: Option<(u64, Duration)>) -> Result<Reply, Error> {
        let Query { service, consistency, datacenter, .. } = query;
        let after = after.filter(|_| !query.is_prepared);
        let options =
            ReadOptions { after, consistency: *consistency, datacenter: datacenter.clone() };
        let request = if query.is_prepared {
            let request = Request::get("/v1/query", READ_WITHIN).segment(service)?;
            request.segment("execute")?.read(&options).near(query)
        } else {
            let request = Request::get("/v1/health/service", READ_WITHIN).segment(service)?;
            request.read(&options).narrow(query)
        };
        self.transport.send(request).await?.success()
    }

    /// A service as registered at this agent, with its checks; none if it is not. Within 1 s.
    pub(crate) async fn at_agent(&self, id: &ServiceId) -> Result<Option<AtAgent>, Error> {
        let request =
            Request::get("/v1/agent/health/service/id", LOCAL_WITHIN).segment(id.as_str())?;
        let reply = self.transport.send(request).await?;
        // The status is the health of the service.
        let health: node::Health = match reply.status {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => reply.json()?,
            _ => reply.success()?.json()?,
        };
        Ok(health.at_agent())
    }

    /// The services of a node in the catalog, without their checks; none if the node is not there. Any server may answer. Within 10 s.
    pub(crate) async fn on_node(&self, node: &str) -> Result<Option<Vec<ServiceEntry>>, Error> {
        let request = Request::get("/v1/catalog/node", READ_WITHIN).segment(node)?;
        let reply = self.transport.send(request.read(&ReadOptions::new())).await?.success()?;
        let shown: Option<node::Shown> = reply.json()?;
        Ok(shown.map(node::Shown::entries))
    }

    /// The address of the agent's node, as far as the token may read it. Within 1 s.
    pub(crate) async fn node_address(&self) -> Option<Host> {
        let request = Request::get("/v1/agent/self", LOCAL_WITHIN);
        let reply = self.transport.send(request).await.ok()?.success().ok()?;
        reply.json::<node::AgentSelf>().ok()?.address()
    }

    /// The names of all services, each with all tags of its instances. Deadlines as for [`AgentClient::health`].
    ///
    /// # Errors
    /// No answer (in time), the agent refused, or its answer can't be parsed.
    pub async fn services(
        &self,
        options: &ReadOptions,
    ) -> Result<Answer<catalog::Services>, Error> {
        let request = Request::get("/v1/catalog/services", READ_WITHIN).read(options);
        let reply = self.transport.send(request).await?.success()?;
        let services: catalog::Services = reply.json()?;
        if services.is_empty() {
            reply.not_emptied_by_acls()?;
        }
        Ok(Answer::new(services, Vec::new(), &reply))
    }

    /// The configuration and membership of the agent. Within 1 s.
    ///
    /// # Errors
    /// No answer (in time), the agent refused, or its answer can't be parsed.
    pub async fn agent_self(&self) -> Result<AgentSelf, Error> {
        let request = Request::get("/v1/agent/self", LOCAL_WITHIN);
        self.transport.send(request).await?.success()?.json()
    }

    /// The address of the cluster's leader (its Raft port); none when there is no leader. Within 10 s.
    ///
    /// # Errors
    /// No answer (in time), the agent refused, or its answer can't be parsed.
    pub async fn leader(&self) -> Result<Option<String>, Error> {
        let request = Request::get("/v1/status/leader", READ_WITHIN);
        let leader: String = self.transport.send(request).await?.success()?.json()?;
        Ok((!leader.is_empty()).then_some(leader))
    }

    /// Sends a GET for which there is no method here. `path` has its query string, everything escaped. Any status is a response; the body of a
    /// response that is no success is shortened.
    ///
    /// # Errors
    /// No answer (in time).
    pub async fn get(&self, path: &str, within: Duration) -> Result<http::Response<Bytes>, Error> {
        self.transport.send(Request::get(path, within)).await.map(Reply::into_response)
    }

    async fn done(&self, request: Request) -> Result<(), Error> {
        self.transport.send(request).await?.success().map(drop)
    }
}
