//! The file of one query as JSON: what is written, and whether what was read can be used. Pure: the time is an argument.
//!
//! A file holds all of its query, so that the answer to another query is never used: a hash in a name may collide, and files can be copied.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{
    Consistency, Include, Instance, Query, Status, TaggedAddress, Weights,
    agent::AgentSettings,
    hash_key,
    watch::{endpoint, entry::share},
};

/// The format version of a file. A file of another version is not used.
const VERSION: u32 = 1;
/// The largest file that is written or read. An instance takes some 300 bytes.
pub(super) const FILE_BYTES_MAX: u64 = 16 << 20;
/// An older file is not used, and is removed at the next start. Addresses are given to other programs in time.
pub(super) const AGE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A file from the future has no known age, since the clock was set back, and is not used. Up to this it is used with the age 0: clocks are
/// corrected by so much in normal operation.
const CLOCK_BACK_MAX: Duration = Duration::from_secs(60);
/// The end of the name of each file.
pub(super) const SUFFIX: &str = ".snapshot.json";
/// The bytes of a service's name in the name of a file.
const SERVICE_BYTES_MAX: usize = 48;

/// The tenant of Consul Enterprise whose services are asked for.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    namespace: Option<String>,
    partition: Option<String>,
}

impl Tenant {
    pub(super) fn of(agent: &AgentSettings) -> Self {
        Self { namespace: agent.namespace.clone(), partition: agent.partition.clone() }
    }
}

/// All that the answer to a query depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedQuery {
    service: Arc<str>,
    is_prepared: bool,
    source: Option<String>,
    datacenter: Option<Arc<str>>,
    tags: BTreeSet<Arc<str>>,
    filter: Option<Arc<str>>,
    node_meta: BTreeMap<Arc<str>, Arc<str>>,
    near: Option<Arc<str>>,
    consistency: Cow<'static, str>,
    include: Cow<'static, str>,
    namespace: Option<String>,
    partition: Option<String>,
    /// Files of the same version may have neither.
    #[serde(default, skip_serializing_if = "Failover::is_none")]
    failover: Failover,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failover {
    datacenters: Vec<Arc<str>>,
    below: u8,
}

impl Failover {
    const fn is_none(&self) -> bool {
        self.datacenters.is_empty()
    }
}

impl SavedQuery {
    pub(super) fn new(query: &Query, tenant: &Tenant) -> Self {
        let Query {
            service,
            is_prepared,
            source,
            datacenter,
            tags,
            filter,
            node_meta,
            near,
            consistency,
            include,
            failover,
            failover_below,
        } = query.clone();
        let consistency = match consistency {
            Consistency::Stale => "stale",
            Consistency::Default => "default",
            Consistency::Consistent => "consistent",
            Consistency::Cached => "cached",
        };
        let include = match include {
            Include::All => "all",
            Include::Passing => "passing",
        };
        Self {
            service,
            is_prepared,
            source: source.map(|source| source.to_string()),
            datacenter,
            tags,
            filter,
            node_meta,
            near,
            consistency: consistency.into(),
            include: include.into(),
            namespace: tenant.namespace.clone(),
            partition: tenant.partition.clone(),
            failover: Failover { datacenters: failover.to_vec(), below: failover_below },
        }
    }

    pub(super) fn service(&self) -> &Arc<str> {
        &self.service
    }

    /// The name of its file: the service, as far as it can be in a name, and a hash of the whole query.
    pub(super) fn file_name(&self) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let plain = self.service.chars().map(|c| if is_plain(c) { c } else { '_' });
        let service: String = plain.take(SERVICE_BYTES_MAX).collect();
        // It consists of texts, lists of texts and flags, which can be written.
        let hash = hash_key(serde_json::to_vec(self).unwrap_or_default());
        format!("{service}-{hash:016x}{SUFFIX}")
    }
}

/// The instances of a file that can be used, and how old they are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recalled {
    /// At least one.
    pub(super) instances: Vec<Instance>,
    pub(super) age: Duration,
}

/// The bytes of the file of a query whose answer was true at this time.
///
/// # Errors
/// It would be too large.
pub(super) fn encode(
    query: &SavedQuery,
    as_of: SystemTime,
    instances: &[Arc<Instance>],
) -> Result<Vec<u8>, String> {
    let since = as_of.duration_since(UNIX_EPOCH).unwrap_or_default();
    let document = Document {
        version: VERSION,
        query: query.clone(),
        as_of_unix_ms: since.as_millis().try_into().unwrap_or(u64::MAX),
        instances: instances.iter().map(|instance| SavedInstance::new(instance)).collect(),
    };
    let bytes = serde_json::to_vec(&document).map_err(|err| err.to_string())?;
    if is_too_large(bytes.len()) {
        return Err(too_large());
    }
    Ok(bytes)
}

/// What can be used of the file of a query.
///
/// # Errors
/// Nothing: the reason.
pub(super) fn decode(
    bytes: &[u8],
    query: &SavedQuery,
    now: SystemTime,
) -> Result<Recalled, String> {
    if is_too_large(bytes.len()) {
        return Err(too_large());
    }
    let damaged = |err: serde_json::Error| format!("it is damaged: {err}");
    let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
    if version != VERSION {
        return Err(format!("it has format version {version}, not {VERSION}"));
    }
    let document: Document = serde_json::from_slice(bytes).map_err(damaged)?;
    if document.query != *query {
        return Err("it is the answer to another query".to_owned());
    }
    let age = age(document.as_of_unix_ms, now)?;
    if document.instances.is_empty() {
        return Err("it has no instance".to_owned());
    }
    let mut instances = Vec::with_capacity(document.instances.len());
    for saved in document.instances {
        let instance = share(saved.instance()?, instances.last());
        instances.push(instance);
    }
    Ok(Recalled { instances, age })
}

fn age(as_of_unix_ms: u64, now: SystemTime) -> Result<Duration, String> {
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (as_of, now) = (Duration::from_millis(as_of_unix_ms), since(now));
    match now.checked_sub(as_of) {
        Some(age) if age > AGE_MAX => {
            let days = AGE_MAX.as_secs() / (24 * 60 * 60);
            Err(format!("it is older than {days} days"))
        }
        Some(age) => Ok(age),
        None if as_of - now <= CLOCK_BACK_MAX => Ok(Duration::ZERO),
        None => Err("it is from the future, so its age is not known".to_owned()),
    }
}

fn is_too_large(bytes: usize) -> bool {
    bytes as u64 > FILE_BYTES_MAX
}

fn too_large() -> String {
    format!("it is larger than the limit of {} MiB", FILE_BYTES_MAX >> 20)
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    query: SavedQuery,
    as_of_unix_ms: u64,
    instances: Vec<SavedInstance>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedInstance {
    id: String,
    service: Arc<str>,
    node: Arc<str>,
    datacenter: Option<Arc<str>>,
    node_meta: Arc<BTreeMap<String, String>>,
    host: String,
    port: u16,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tagged_addresses: BTreeMap<String, SavedAddress>,
    tags: Vec<String>,
    meta: BTreeMap<String, String>,
    weights: SavedWeights,
    status: SavedStatus,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedAddress {
    host: String,
    port: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedWeights {
    passing: u16,
    warning: u16,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SavedStatus {
    Passing,
    Warning,
    Critical,
    Maintenance,
}

impl SavedInstance {
    fn new(instance: &Instance) -> Self {
        let Instance {
            id,
            service,
            node,
            datacenter,
            node_meta,
            host,
            port,
            tagged_addresses,
            tags,
            meta,
            weights: Weights { passing, warning },
            status,
        } = instance.clone();
        Self {
            id: id.to_string(),
            service,
            node,
            datacenter,
            node_meta,
            host: host.to_string(),
            port,
            tagged_addresses: tagged_addresses
                .into_iter()
                .map(|(name, to)| (name, SavedAddress { host: to.host.to_string(), port: to.port }))
                .collect(),
            tags,
            meta,
            weights: SavedWeights { passing, warning },
            status: match status {
                Status::Passing => SavedStatus::Passing,
                Status::Warning => SavedStatus::Warning,
                Status::Critical => SavedStatus::Critical,
                Status::Maintenance => SavedStatus::Maintenance,
            },
        }
    }

    /// The instance, under the rules for those of the catalog.
    fn instance(self) -> Result<Instance, String> {
        let SavedWeights { passing, warning } = self.weights;
        if self.port == 0 {
            return Err(format!("its instance {}: {}", self.id, endpoint::NO_PORT));
        }
        let host = endpoint::host(&self.host)
            .map_err(|why| format!("the host of its instance {}: {why}", self.id))?;
        let tagged = self.tagged_addresses.into_iter().map(|(name, to)| {
            let host = endpoint::host(&to.host)
                .map_err(|why| format!("the host {name} of its instance {}: {why}", self.id))?;
            Ok((name, TaggedAddress::new(host, to.port)))
        });
        Ok(Instance {
            tagged_addresses: tagged.collect::<Result<_, String>>()?,
            id: self.id.into(),
            service: self.service,
            node: self.node,
            datacenter: self.datacenter,
            node_meta: self.node_meta,
            host,
            port: self.port,
            tags: self.tags,
            meta: self.meta,
            weights: Weights { passing, warning },
            status: match self.status {
                SavedStatus::Passing => Status::Passing,
                SavedStatus::Warning => Status::Warning,
                SavedStatus::Critical => Status::Critical,
                SavedStatus::Maintenance => Status::Maintenance,
            },
        })
    }
}

#[cfg(test)]
mod tests;
