//! Calls of the machine that are not answered, or too late.

use super::super::*;
use crate::agent::REGISTER_WITHIN;

/// Longer than in any client: heartbeats that hang must not delay the next one.
const HEARTBEAT_WITHIN: Duration = Duration::from_secs(12);

pub(crate) fn deadline(effect: Effect) -> Duration {
    match effect {
        Effect::Register { .. } => REGISTER_WITHIN,
        Effect::Heartbeat { .. } => HEARTBEAT_WITHIN,
        _ => LOCAL_WITHIN,
    }
}

/// The outcome of a call that brought no answer that counts.
pub(crate) fn no_answer(effect: Effect, registered: RegisterOutcome) -> Event {
    match effect {
        Effect::Probe => Event::Probed(Probed::Silent),
        Effect::Register { .. } => Event::Registered(registered),
        Effect::Heartbeat { epoch, .. } => {
            Event::HeartbeatEnded { epoch, heartbeat: Heartbeat::Unknown }
        }
        Effect::Look { epoch, .. } => Event::Looked { epoch, found: Found::Unknown, place: None },
        Effect::Sweep => Event::Swept,
        Effect::Maintain => Event::Maintained,
        Effect::Deregister => Event::Deregistered { done: false },
        Effect::Notice(_) => unreachable!("not a call"),
    }
}
