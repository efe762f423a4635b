//! The handle that a program holds: its connections to the agent, and what it asks them for.

use std::sync::Arc;

use crate::{Error, Settings, agent::AgentClient};

/// Service discovery through one Consul agent. Cheap to clone; clones share connections. There is no global state: two of them in one
/// process are strangers.
#[derive(Debug, Clone)]
pub struct Discovery {
    settings: Arc<Settings>,
    agent: AgentClient,
}

impl Discovery {
    /// Discovery with these settings. Connects to nothing yet.
    ///
    /// # Errors
    /// When no HTTP client can be made of the settings.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let agent = AgentClient::new(settings.agent.clone())?;
        Ok(Self { settings: Arc::new(settings), agent })
    }

    /// Discovery as the environment of this process says ([`Settings::from_vars`]). Connects to nothing yet.
    ///
    /// # Errors
    /// For a variable that can't be understood.
    pub fn from_env() -> Result<Self, Error> {
        Self::new(Settings::from_env()?)
    }

    /// What it was made of.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The agent, for what this library has no words for.
    pub fn agent(&self) -> &AgentClient {
        &self.agent
    }
}
