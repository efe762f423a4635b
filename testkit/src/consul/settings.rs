//! The settings of a Consul agent, and its configuration file.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Binary, Consul, Ports};

/// The number of tries with other ports, since other programs may take them.
const PORT_TRIES_MAX: usize = 5;

/// The settings of an agent. By default a single server, node `node1`, datacenter `dc1`.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) binary: Binary,
    pub(super) node: String,
    pub(super) datacenter: String,
    pub(super) config: Value,
    tls: Option<Tls>,
}

/// Which clients an agent with TLS accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// All.
    Any,
    /// Those with a certificate of its authority.
    Verified,
}

/// The files of TLS, as PEM.
#[derive(Debug, Clone)]
struct Tls {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
    clients: Clients,
}

impl Settings {
    pub(super) fn of(binary: &Binary) -> Self {
        Self {
            binary: binary.clone(),
            node: "node1".to_owned(),
            datacenter: "dc1".to_owned(),
            config: json!({}),
            tls: None,
        }
    }

    /// Names the node.
    pub fn node(mut self, name: &str) -> Self {
        name.clone_into(&mut self.node);
        self
    }

    /// Names the datacenter.
    pub fn datacenter(mut self, name: &str) -> Self {
        name.clone_into(&mut self.datacenter);
        self
    }

    /// Further settings, as in a Consul configuration file; they override the others.
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Serves its HTTP API over TLS too, with this certificate ([`Consul::https_addr`]).
    pub fn tls(mut self, ca: &Path, cert: &Path, key: &Path, clients: Clients) -> Self {
        let [ca, cert, key] = [ca, cert, key].map(Path::to_owned);
        self.tls = Some(Tls { ca, cert, key, clients });
        self
    }

    /// Starts it, and waits until there is a leader and the catalog has the node as its leader and its agent set it.
    ///
    /// # Errors
    ///
    /// It does not start, or is not ready within a minute; the end of its log is in the error.
    pub async fn start(self) -> io::Result<Consul> {
        let mut tries = 1;
        loop {
            let started = Consul::create(self.clone())?.begin().await;
            match started {
                Err(error)
                    if error.kind() == io::ErrorKind::AddrInUse && tries < PORT_TRIES_MAX =>
                {
                    tries += 1;
                }
                started => return started,
            }
        }
    }

    /// The configuration without [`config`](Self::config).
    pub(super) fn ours(&self, ports: Ports, data_dir: &Path) -> Value {
        let mut ours = json!({
            "node_name": self.node,
            "datacenter": self.datacenter,
            "data_dir": data_dir,
            "server": true,
            "bootstrap": true,
            "bind_addr": "127.0.0.1",
            "advertise_addr": "127.0.0.1",
            "client_addr": "127.0.0.1",
            "disable_update_check": true,
            "performance": { "raft_multiplier": 1 },
            "ports": {
                "http": ports.http,
                "dns": ports.dns,
                "server": ports.server,
                "serf_lan": ports.serf_lan,
                "serf_wan": ports.serf_wan,
                "grpc": -1,
            },
        });
        if let Some(Tls { ca, cert, key, clients }) = &self.tls {
            ours["ports"]["https"] = ports.https.into();
            ours["ca_file"] = json!(ca);
            ours["cert_file"] = json!(cert);
            ours["key_file"] = json!(key);
            ours["verify_incoming_https"] = (*clients == Clients::Verified).into();
        }
        ours
    }
}
