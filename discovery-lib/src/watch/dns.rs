//! Consul's DNS as a backend: SRV, polled, since DNS can't wait for a change.
//!
//! Only TCP is used. Consul leaves records out of its UDP answers without setting the truncation bit (1.8.7 with its defaults: 19 of 40
//! instances at EDNS 1232, different ones each time), so a watch that trusts them would see instances appear and disappear. Above 64 kB, which are 997
//! instances, it does so over TCP too: use the catalog for a service of that size.
//!
//! "No such name" and "no such records" are answers: no instance is passing or warning. Every other answer without SRV records of the name is a
//! failure and changes nothing.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, NoRecords, runtime::TokioRuntimeProvider},
    proto::{
        op::{Message, ResponseCode},
        rr::{Name, RecordType},
    },
};
use tokio::{
    net::TcpStream,
    runtime::{self, Handle},
    time::timeout,
};

use super::{
    left_out::LeftOutLog,
    machine::Reply,
    snapshot::{Origin, Remarks},
    srv::{self, Target},
};
use crate::{DnsAddress, Error, Host, Query, error::Kind, names::Names};

/// Deadline of a whole answer, including the addresses of all its targets. Consul answers from memory.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How often a query is sent if its connection ends before the answer (RFC 7766, section 6.2.4). Consul closes a connection after 128 queries,
/// also while others are in flight on it.
const SENT_MAX: u32 = 3;

/// Requests in flight on the one connection. Hickory's default of 32 makes the other watches of a large program wait and fail.
const IN_FLIGHT_MAX: usize = 1024;

/// A DNS server and the connection to it, shared by all watches that use it.
#[derive(Debug)]
pub(super) struct DnsServer {
    address: DnsAddress,
    names: Names,
    /// None until the first query, and after a failure: the server may have moved. Its connection works only on the runtime that opened it,
    /// and ends with that.
    resolver: Mutex<Option<(runtime::Id, TokioResolver)>>,
}

/// The SRV records of one service.
#[derive(Debug, Clone)]
pub(super) struct Dns {
    server: Arc<DnsServer>,
    service: Arc<str>,
    name: Name,
    left_out_log: LeftOutLog,
}

impl Dns {
    /// # Errors
    /// The service has a name that DNS can't express.
    pub(super) fn new(query: &Query, server: Arc<DnsServer>) -> Result<Self, Error> {
        let service = query.service.clone();
        let Some(name) = srv::name(query) else {
            let text = format!("the service {service:?} has a name that DNS has no room for");
            return Err(Error::new(Kind::Setting, text));
        };
        Ok(Self { server, service, name, left_out_log: LeftOutLog::default() })
    }

    pub(super) fn endpoint(&self) -> String {
        format!("the DNS server at {}", self.server.address)
    }

    pub(super) async fn ask(&self) -> Result<Reply, Error> {
        match timeout(ANSWER_WITHIN, self.answer()).await.unwrap_or(Err(NetError::Timeout)) {
            Ok(reply) => Ok(reply),
            Err(NetError::NoConnections) => Err(self.server.not_connected(&self.name).await),
            Err(err) => Err(self.server.failed(&self.name, err)),
        }
    }

    async fn answer(&self) -> Result<Reply, NetError> {
        let resolver = self.server.resolver().await?;
        let message = records(&resolver, &self.name, RecordType::SRV).await?;
        let (mut targets, left_out) = srv::targets(&message);
        let remarks = Remarks { left_out, ..Remarks::default() };
        self.left_out_log.report(&self.service, &remarks);
        for target in &mut targets {
            if target.host.is_none() {
                target.host = address(&resolver, target).await?;
            }
        }
        Ok(Reply {
            origin: Origin::Dns,
            instances: srv::instances(&self.service, targets).into_iter().map(Arc::new).collect(),
            index: None,
            last_contact: Duration::ZERO,
            ttl: srv::ttl(&message),
            remarks,
        })
    }
}

/// The answer to one DNS query: empty if there is no such name, and if there are no such records.
async fn records(
    resolver: &TokioResolver,
    name: &Name,
    kind: RecordType,
) -> Result<Message, NetError> {
    let mut sent = 1;
    loop {
        match resolver.lookup(name.clone(), kind).await {
            Ok(lookup) => return Ok(lookup.into()),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) if is_empty(&none, name, kind) => {
                return Ok(Message::query());
            }
            Err(err) if sent < SENT_MAX && is_of_connection(&err) => sent += 1,
            Err(err) => return Err(err),
        }
    }
}

/// Whether the connection may have ended. hickory has the same error for a new connection that was closed and for none, and a text for a query
/// that was queued for a connection.
fn is_of_connection(err: &NetError) -> bool {
    matches!(err, NetError::Io(_) | NetError::NoConnections | NetError::Message(_))
}

/// Whether there are no records of this name and type. hickory also finds none if the answer has records of another name or type. Consul's
/// answers without SRV records have an SOA record, as have those of each server that lets them be cached (RFC 2308, 5). Its answers without the
/// address of a node have none.
fn is_empty(none: &NoRecords, name: &Name, kind: RecordType) -> bool {
    let says_so = match none.response_code {
        ResponseCode::NXDomain => true,
        ResponseCode::NoError => none.soa.is_some() || kind != RecordType::SRV,
        _ => false,
    };
    says_so && none.query.name() == name
}

/// The address of a target, by a DNS query of its own; none if it has been removed since.
async fn address(resolver: &TokioResolver, target: &Target) -> Result<Option<Host>, NetError> {
    for kind in [RecordType::A, RecordType::AAAA] {
        let message = records(resolver, &target.name, kind).await?;
        if let Some(ip) = srv::addresses(&message.answers).into_values().min() {
            return Ok(Some(Host::Ip(ip)));
        }
    }
    Ok(None)
}

impl DnsServer {
    pub(super) fn new(address: DnsAddress) -> Self {
        Self { address, names: Names::default(), resolver: Mutex::new(None) }
    }

    /// Hickory's resolver, which keeps one connection, replaces it when it breaks, and multiplexes queries on it.
    async fn resolver(&self) -> Result<TokioResolver, NetError> {
        let here = Handle::current().id();
        if let Some((runtime, resolver)) = &*self.lock()
            && *runtime == here
        {
            return Ok(resolver.clone());
        }
        let addresses = self.addresses().await?;
        let resolver = resolver(&addresses)?;
        *self.lock() = Some((here, resolver.clone()));
        Ok(resolver)
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, NetError> {
        let DnsAddress { host, port } = &self.address;
        match host {
            Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, *port)]),
            Host::Name(name) => {
                let found = self.names.find(name).await.map_err(NetError::Io)?;
                Ok(found.iter().map(|address| SocketAddr::new(address.ip(), *port)).collect())
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(runtime::Id, TokioResolver)>> {
        self.resolver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hickory doesn't report why it could not connect: a separate connection finds out.
    async fn not_connected(&self, name: &Name) -> Error {
        let connected = timeout(ANSWER_WITHIN, async {
            TcpStream::connect(&*self.addresses().await?).await.map_err(NetError::from)
        });
        let err = match connected.await {
            Ok(Ok(_)) => NetError::NoConnections,
            Ok(Err(err)) => err,
            Err(_) => NetError::Timeout,
        };
        self.failed(name, err)
    }

    /// The error of a failed query. Unless the server answered, the next query looks the server up again.
    fn failed(&self, name: &Name, err: NetError) -> Error {
        let server = &self.address;
        match err {
            NetError::Dns(DnsError::ResponseCode(code)) => {
                // Consul's servers may be without a leader for a while.
                let is_temporary = code == ResponseCode::ServFail;
                let kind = if is_temporary { Kind::Unreachable } else { Kind::Answer };
                let text = format!("SRV {name}: the DNS server at {server} answered {code}");
                return Error::new(kind, text);
            }
            NetError::Dns(DnsError::NoRecordsFound(_)) => {
                let text = format!(
                    "SRV {name}: the answer of the DNS server at {server} is about something else"
                );
                return Error::new(Kind::Answer, text);
            }
            NetError::Truncated => {
                let text = format!(
                    "SRV {name}: the answer of the DNS server at {server} is truncated (TCP): use the catalog for a service of this size"
                );
                return Error::new(Kind::Answer, text);
            }
            _ => {}
        }
        *self.lock() = None;
        if let NetError::Timeout = err {
            return Error::new(
                Kind::Timeout,
                format!(
                    "SRV {name}: no answer from the DNS server at {server} (TCP) within {ANSWER_WITHIN:?}"
                ),
            );
        }
        Error::new(
            Kind::Unreachable,
            format!("SRV {name}: no DNS server can be reached at {server} (TCP)"),
        )
        .because(err)
    }
}

/// A resolver that queries these addresses of one server, one after the other, and caches nothing: the watch decides how often to poll.
fn resolver(addresses: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let servers = addresses.iter().map(|address| {
        let mut tcp = ConnectionConfig::tcp();
        tcp.port = address.port();
        NameServerConfig::new(address.ip(), true, vec![tcp])
    });
    let config = ResolverConfig::from_parts(None, vec![], servers.collect());
    let mut options = ResolverOpts::default();
    options.timeout = ANSWER_WITHIN;
    options.attempts = 0;
    options.num_concurrent_reqs = 1;
    options.max_active_requests = IN_FLIGHT_MAX;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
}

#[cfg(test)]
mod tests;
