//! A running program's place in Consul, from its start to its orderly end.
//!
//! `machine` decides, as a pure function of what happened and when; `task` carries calls to the agent and their outcomes; `life` is the
//! order in which a server starts and ends around it. Not here: checks that an agent runs (HTTP, TCP). A program that runs can say so itself,
//! and one that hangs stops saying it.

mod advertise;
mod calls;
mod check;
mod life;
mod lifecycle;
mod limits;
mod machine;
mod probe;
mod registered;
mod shutdown;
mod subject;
mod sweep;
mod task;

use std::{collections::BTreeMap, net::SocketAddr};

pub use advertise::Advertise;
pub use check::{Check, CheckSchedule};
#[cfg(feature = "serve")]
pub(crate) use life::FINISH_WITHIN;
pub use lifecycle::Lifecycle;
pub use machine::RegistrationState;
pub use registered::Registered;
pub use shutdown::{ShutdownSignal, Trigger, shutdown_signal};
pub use subject::near;

use probe::Probe;

use crate::{Error, ServiceId, Weights, agent::Address};

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
    check: Check,
    probe: Option<Probe>,
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
            check: Check::default(),
            probe: None,
        }
    }

    /// One more tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Something that it says of itself: up to 63 pairs, a key of up to 128 bytes, a value of up to 512. The key `incarnation` is taken: it
    /// tells one run from the next.
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

    /// How Consul decides whether it is healthy. Default: [`Check::Ttl`].
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    /// How to find out whether it serves, for whoever registers what runs in another process: asked before each registration, again and again
    /// until it answers `Ok`. It takes the place of [`Registered::set_accepting`] and of the look at the published address.
    ///
    /// ```no_run
    /// use discovery::{Discovery, Registration};
    /// use tokio::net::TcpStream;
    ///
    /// # fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let redis = "127.0.0.1:6379".parse()?;
    /// let registration = Registration::new("redis", redis)
    ///     .probe(move || async move { TcpStream::connect(redis).await.map(drop) });
    /// let registered = Discovery::from_env()?.register(registration)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn probe<P, A, E>(mut self, probe: P) -> Self
    where
        P: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.probe = Some(Probe::new(probe));
        self
    }

    /// Whether it can be registered at this agent, as far as that is known before anything is asked.
    pub(crate) fn validate(&self, agent: &Address) -> Result<(), Error> {
        limits::validate(self)?;
        self.advertise.validate(self.local, agent)
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
