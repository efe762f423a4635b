//! What a registration says about its instance and may say anew while it runs.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use consul_wire::agent::AgentService;
use tokio::sync::Notify;

use crate::{Error, Weights, instance::INCARNATION};

/// What callers may know about an instance: the part of a [`Registration`](crate::Registration) that can change while it runs
/// ([`Lifecycle::update`](crate::Lifecycle::update)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Details {
    /// Tags.
    pub tags: Vec<String>,
    /// Metadata: up to 63 pairs, a key of up to 128 bytes, a value of up to 512. The key `incarnation` is reserved.
    pub meta: BTreeMap<String, String>,
    /// Its share of the traffic of the service.
    pub weights: Weights,
}

/// The details of a running registration.
#[derive(Debug)]
pub(super) struct Current {
    details: Mutex<Published>,
    /// Notified after each change.
    changed: Notify,
}

#[derive(Debug)]
struct Published {
    wanted: Details,
    /// Those of the last registration, which the agent's record must have; none before the first one.
    sent: Option<Details>,
}

impl Current {
    pub(super) fn new(details: Details) -> Self {
        let details = Mutex::new(Published { wanted: details, sent: None });
        Self { details, changed: Notify::new() }
    }

    /// Applies a change that `valid` accepts; otherwise all stays as it is. `change` is called with a lock: it must not call this.
    pub(super) fn update(
        &self,
        change: impl FnOnce(&mut Details),
        valid: impl FnOnce(&Details) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut details = self.lock();
        let mut new = details.wanted.clone();
        change(&mut new);
        valid(&new)?;
        if new != details.wanted {
            details.wanted = new;
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits for a change. Cancel-safe. For one task.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Those to register now.
    pub(super) fn send(&self) -> Details {
        let mut details = self.lock();
        let wanted = details.wanted.clone();
        details.sent = Some(wanted.clone());
        wanted
    }

    /// Whether the agent's record has those of the last registration.
    pub(super) fn are_in(&self, record: &AgentService) -> bool {
        let details = self.lock();
        let Some(sent) = &details.sent else { return true };
        let meta = || record.meta.iter().filter(|(key, _)| *key != INCARNATION);
        record.tags == sent.tags
            && meta().eq(&sent.meta)
            && (record.weights.passing, record.weights.warning)
                == (sent.weights.passing, sent.weights.warning)
    }

    fn lock(&self) -> MutexGuard<'_, Published> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
