//! The settings of a Consul agent, and its configuration file.

use std::{io, path::Path};

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
}

impl Settings {
    pub(super) fn of(binary: &Binary) -> Self {
        Self {
            binary: binary.clone(),
            node: "node1".to_owned(),
            datacenter: "dc1".to_owned(),
            config: json!({}),
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
        json!({
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
        })
    }
}
