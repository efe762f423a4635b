//! Consul's DNS as a source: SRV, polled, since DNS can't wait for a change.
//!
//! It is asked over TCP alone. Consul leaves records out of its UDP answers without the bit that says so (1.8.7 with its defaults: 19 of 40
//! instances at EDNS 1232, others each time), and a watch that believed them would see instances come and go. Beyond 64 kB, which are 997
//! instances, it does so over TCP too: a service of that size is for the catalog.
//!
//! "No such name" and "no such records" are answers: there is no instance that is not critical. Everything else that is no SRV is a failure
//! and changes nothing.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
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
    carry::Source,
    machine::Reply,
    odd::Odd,
    snapshot::Origin,
    srv::{self, Target},
};
use crate::{DnsAddress, Error, Host, error::Kind, names::Names};

/// A whole answer, with the addresses of all its targets. Consul answers from memory.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// So many watches may ask at once on the one connection. Hickory's default of 32 makes the others of a large program wait and fail.
const IN_FLIGHT_MAX: usize = 1024;

/// A DNS server and the connection to it, shared by all watches that ask it.
#[derive(Debug)]
pub(super) struct Server {
    address: DnsAddress,
    names: Names,
    /// None until somebody asks, and after a failure: then the server may be elsewhere. Its connection is of use on the runtime where it was
    /// opened, and ends with that.
    resolver: Mutex<Option<(runtime::Id, TokioResolver)>>,
}

/// The SRV records of one service.
#[derive(Debug, Clone)]
pub(super) struct Dns {
    pub(super) server: Arc<Server>,
    pub(super) service: Arc<str>,
    pub(super) datacenter: Option<String>,
    pub(super) odd: Odd,
}

impl Source for Dns {
    const ORIGIN: Origin = Origin::Dns;

    async fn ask(&self, _: Option<(u64, Duration)>) -> Result<Reply, Error> {
        let Some(question) = srv::question(&self.service, self.datacenter.as_deref()) else {
            let service = &self.service;
            return Err(Error::new(
                Kind::Setting,
                format!("the service {service:?} has a name that DNS has no room for"),
            ));
        };
        let answered = timeout(ANSWER_WITHIN, self.answer(&question)).await;
        let answered = answered.unwrap_or(Err(NetError::Timeout));
        match answered {
            Ok(reply) => Ok(reply),
            Err(NetError::NoConnections) => Err(self.server.not_connected(&question).await),
            Err(err) => Err(self.server.failed(&question, err)),
        }
    }

    fn whom(&self) -> String {
        format!("the DNS server at {}", self.server.address)
    }
}

impl Dns {
    async fn answer(&self, question: &Name) -> Result<Reply, NetError> {
        let resolver = self.server.resolver().await?;
        let message = records(&resolver, question, RecordType::SRV).await?;
        let (mut targets, left_out) = srv::targets(&message);
        self.odd.tell(&self.service, left_out);
        for target in &mut targets {
            if target.host.is_none() {
                target.host = address(&resolver, target).await?;
            }
        }
        Ok(Reply {
            instances: srv::instances(&self.service, targets),
            index: None,
            last_contact: Duration::ZERO,
            ttl: srv::ttl(&message),
        })
    }
}

/// The answer to one question: empty where there is no such name and where there are no such records.
async fn records(
    resolver: &TokioResolver,
    name: &Name,
    kind: RecordType,
) -> Result<Message, NetError> {
    match resolver.lookup(name.clone(), kind).await {
        Ok(lookup) => Ok(lookup.into()),
        Err(NetError::Dns(DnsError::NoRecordsFound(none)))
            if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
        {
            Ok(Message::query())
        }
        Err(err) => Err(err),
    }
}

/// Where a target is, by a question of its own; none when it is gone meanwhile.
async fn address(resolver: &TokioResolver, target: &Target) -> Result<Option<Host>, NetError> {
    for kind in [RecordType::A, RecordType::AAAA] {
        let message = records(resolver, &target.name, kind).await?;
        if let Some(ip) = srv::addresses(&message.answers).into_values().min() {
            return Ok(Some(Host::Ip(ip)));
        }
    }
    Ok(None)
}

impl Server {
    pub(super) fn new(address: DnsAddress) -> Self {
        Self { address, names: Names::default(), resolver: Mutex::new(None) }
    }

    /// Hickory's, which keeps one connection, makes a new one when it breaks, and tells questions on it apart.
    async fn resolver(&self) -> Result<TokioResolver, NetError> {
        let here = Handle::current().id();
        if let Some((runtime, resolver)) = &*self.lock()
            && *runtime == here
        {
            return Ok(resolver.clone());
        }
        let DnsAddress { host, port } = &self.address;
        let addresses = match host {
            Host::Ip(ip) => vec![SocketAddr::new(*ip, *port)],
            Host::Name(name) => {
                let found = self.names.find(name).await.map_err(NetError::Io)?;
                found.iter().map(|address| SocketAddr::new(address.ip(), *port)).collect()
            }
        };
        let resolver = asking(&addresses)?;
        *self.lock() = Some((here, resolver.clone()));
        Ok(resolver)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(runtime::Id, TokioResolver)>> {
        self.resolver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hickory doesn't say why it could not connect: a connection of our own tells.
    async fn not_connected(&self, question: &Name) -> Error {
        let DnsAddress { host, port } = &self.address;
        let host = match host {
            Host::Ip(ip) => ip.to_string(),
            Host::Name(name) => name.to_string(),
        };
        let connected = timeout(ANSWER_WITHIN, TcpStream::connect((host, *port))).await;
        self.failed(
            question,
            match connected {
                Ok(Ok(_)) => NetError::NoConnections,
                Ok(Err(err)) => err.into(),
                Err(_) => NetError::Timeout,
            },
        )
    }

    /// What went wrong, in words. Where it was not the server that said so, the next question looks for it anew.
    fn failed(&self, question: &Name, err: NetError) -> Error {
        let server = &self.address;
        if let NetError::Dns(DnsError::ResponseCode(code)) = err {
            return Error::new(
                Kind::Answer,
                format!("SRV {question}: the DNS server at {server} answered {code}"),
            );
        }
        *self.lock() = None;
        if let NetError::Timeout = err {
            return Error::new(
                Kind::Timeout,
                format!(
                    "SRV {question}: no answer from the DNS server at {server} (TCP) within {ANSWER_WITHIN:?}"
                ),
            );
        }
        Error::new(
            Kind::Unreachable,
            format!("SRV {question}: no DNS server can be asked at {server} (TCP)"),
        )
        .because(err)
    }
}

/// A resolver that asks these addresses of one server, one after the other, and keeps nothing: how long an answer is kept is the watch's
/// business.
fn asking(addresses: &[SocketAddr]) -> Result<TokioResolver, NetError> {
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
