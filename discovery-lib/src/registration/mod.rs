//! A running program's place in Consul, from its start to its orderly end.
//!
//! `machine` decides, as a pure function of what happened and when; `task` carries calls to the agent and their outcomes; `life` is the
//! order in which a server starts and ends around it. Not here: checks that an agent runs (HTTP, TCP). A program that runs can say so itself,
//! and one that hangs stops saying it.

mod advertise;
mod leaving;
mod life;
mod machine;
mod registered;
mod signals;
mod subject;
mod sweep;
mod task;

use std::{collections::BTreeMap, net::SocketAddr};

pub use advertise::Advertise;
pub use leaving::Leaving;
pub use machine::State;
pub use registered::Registered;
pub use signals::{Signals, Trigger, signal};
pub use subject::near;

use crate::{ServiceId, Weights};

/// What an instance tells Consul about itself.
#[derive(Debug, Clone)]
pub struct Registration {
    pub(crate) name: String,
    pub(crate) local: SocketAddr,
    pub(crate) id: Option<ServiceId>,
    pub(crate) tags: Vec<String>,
    pub(crate) meta: BTreeMap<String, String>,
    pub(crate) weights: Weights,
    pub(crate) advertise: Advertise,
}

impl Registration {
    /// An instance of the service `name` that listens at `local` (what `listener.local_addr()` says).
    pub fn new(name: impl Into<String>, local: SocketAddr) -> Self {
        Self {
            name: name.into(),
            local,
            id: None,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weights: Weights::default(),
            advertise: Advertise::default(),
        }
    }

    /// One more tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Something that it says of itself. The key `incarnation` is taken: it tells one run from the next.
    #[must_use]
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.meta.insert(key.into(), value.into());
        self
    }

    /// Its id, unique on the agent: a later run of the same id takes its place. Default: `<name>-<host>-<port>`, with this machine's host
    /// name and the port that others use.
    #[must_use]
    pub fn id(mut self, id: impl Into<ServiceId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Its share among its peers. Default: 1 and 1.
    #[must_use]
    pub fn weights(mut self, weights: Weights) -> Self {
        self.weights = weights;
        self
    }

    /// Where others find it, as far as it must be told. Default: see [`Advertise`].
    #[must_use]
    pub fn advertise(mut self, advertise: Advertise) -> Self {
        self.advertise = advertise;
        self
    }

    /// The port that others use.
    pub(crate) fn port(&self) -> u16 {
        self.advertise.port.unwrap_or(self.local.port())
    }

    fn service_id(&self) -> ServiceId {
        self.id.clone().unwrap_or_else(|| {
            let uname = rustix::system::uname();
            let host = uname.nodename().to_string_lossy();
            format!("{}-{host}-{}", self.name, self.port()).into()
        })
    }
}
