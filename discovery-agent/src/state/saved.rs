//! The part of the state that survives a restart, as plain data, and the restoration from it.
//!
//! The state is restored as in Consul: instances and checks as registered; a check is critical, unless its last heartbeat is still valid. So a
//! service that was killed along with its agent is not taken for passing, and one that continued its heartbeats is not taken for critical.

use std::time::Duration;

use consul_wire::check::CheckStatus;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Check, CheckDefinition, CheckKind, Identity, ServiceDefinition, State, service::definition,
};

/// The saved state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    pub(crate) node_id: String,
    /// Indexes continue from here.
    pub(crate) index: u64,
    pub(crate) services: Vec<ServiceDefinition>,
    pub(crate) checks: Vec<SavedCheck>,
}

/// A check and its last heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedCheck {
    pub(crate) definition: CheckDefinition,
    pub(crate) beat: Option<SavedHeartbeat>,
}

/// A valid heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedHeartbeat {
    pub(crate) status: CheckStatus,
    pub(crate) output: String,
    /// The remaining validity when it was saved.
    pub(crate) counts_for: Duration,
}

/// A kill may lose the last status changes, and their indexes with them. More indexes than can be lost are skipped, so that none is used twice.
const LOST_INDEXES_MAX: u64 = 1_000_000;

impl State {
    pub(crate) fn save(&self, now: Instant) -> Saved {
        let own = |check: &&Check| check.kind != CheckKind::Serf;
        Saved {
            node_id: self.node.id.clone(),
            index: self.index(),
            services: self.registered().map(definition).collect(),
            checks: self.checks.values().filter(own).map(|check| check.save(now)).collect(),
        }
    }

    /// Restores the state of an agent that was down for `away`.
    pub(crate) fn restore(identity: &Identity, saved: Saved, away: Duration, now: Instant) -> Self {
        let mut state = Self::new(identity);
        state.topics.start_at(saved.index + LOST_INDEXES_MAX);
        for service in saved.services {
            state.insert_service(super::service::row(service));
        }
        for SavedCheck { mut definition, beat } in saved.checks {
            if let Some(service) = &definition.service_id
                && state.service(service).is_none()
            {
                tracing::warn!(check = %definition.id, %service, "a saved check was ignored: its service is missing");
                continue;
            }
            let beat = beat.filter(|beat| beat.counts_for > away);
            definition.status = beat.as_ref().map(|beat| beat.status);
            let id = definition.id.clone();
            state.put_check(definition, now);
            if let (Some(beat), Some(check)) = (beat, state.checks.get(&id)) {
                let mut check = check.clone();
                check.heartbeat_valid_until = Some(now + (beat.counts_for - away));
                check.row.output = beat.output;
                state.insert_check(check);
            }
        }
        state.take_effects();
        state
    }
}

impl Check {
    fn save(&self, now: Instant) -> SavedCheck {
        let row = &self.row;
        let definition = CheckDefinition {
            id: row.check_id.clone(),
            name: row.name.clone(),
            notes: row.notes.clone(),
            status: None,
            service_id: (!row.service_id.is_empty()).then(|| row.service_id.clone()),
            kind: self.kind.clone(),
            deregister_after: self.deregister_after,
            thresholds: self.thresholds,
            output_bytes_max: self.output_bytes_max,
        };
        let beat =
            self.heartbeat_valid_until.filter(|until| *until > now).map(|until| SavedHeartbeat {
                status: row.status,
                output: row.output.clone(),
                counts_for: until - now,
            });
        SavedCheck { definition, beat }
    }
}
