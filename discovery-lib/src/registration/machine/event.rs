//! The events and effects of the registrar's state machine.

use std::net::IpAddr;

use consul_wire::check::CheckStatus;
use tokio::time::Instant;

/// The state of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RegistrationState {
    /// The program does not accept connections yet or reports that it is critical, or a connection to the address that would be published fails.
    Probing,
    /// The agent doesn't have it, or has not confirmed it; registration is retried with backoff.
    Registering,
    /// Refused for a reason that a retry alone does not change ([`refusal`](crate::Registered::refusal)): invalid settings, or an agent that
    /// returned 400 or 403. It is retried every 30 s or so, because the token may change.
    Refused,
    /// The agent has it; it is not in the catalog yet, from which callers read.
    Registered,
    /// It is in the catalog.
    Ready,
    /// Another run registered with the same id. This one is no longer in the catalog and sends nothing more.
    Replaced,
    /// Shutting down: in maintenance, or being deregistered.
    Leaving,
    /// Ended, after deregistration or after the time for it.
    Left,
    /// The registrar ended without deregistration, because its handle or its runtime was dropped.
    Abandoned,
}

impl RegistrationState {
    /// Whether no other state follows: the instance is no longer kept registered.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Replaced | Self::Left | Self::Abandoned)
    }
}

/// An input of the state machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The time [`wakes_at`](super::Machine::wakes_at) is reached.
    Tick,
    /// A probe ended.
    Probed(Probed),
    /// A registration ended.
    Registered(RegisterOutcome),
    /// A heartbeat ended.
    HeartbeatEnded { epoch: u32, heartbeat: Heartbeat },
    /// A look ended. `place` is where the instance is now, if known.
    Looked { epoch: u32, found: Found, place: Option<Place> },
    /// The program reported its status.
    Reported(CheckStatus),
    /// The program changed its details.
    Updated,
    /// The program shuts down. A second one: it has ended meanwhile.
    Leave(Leave),
    /// A request for maintenance ended. Its result is ignored: maintenance only informs callers sooner.
    Maintained,
    /// A deregistration ended.
    Deregistered { done: bool },
    /// The deregistration of dead instances ended. Its result is ignored.
    Swept,
}

/// The order to deregister.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leave {
    /// In maintenance until this time, so that callers stop using it.
    pub(crate) deregister_at: Instant,
    /// Ends at this time, even without an answer of the agent.
    pub(crate) give_up_at: Instant,
}

/// The host that is published for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The advertised one.
    Advertised,
    /// None, so that callers use the address of the agent's node.
    Node,
    /// An address of this machine.
    At(IpAddr),
}

/// The result of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probed {
    /// The instance accepts connections, as far as this machine can check, and this is the place to publish.
    Answered(Place),
    /// No connection, or the place is not known now.
    Silent,
    /// With these settings no caller could reach it.
    Refused,
}

/// The result of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heartbeat {
    Passed,
    /// The agent does not have the check.
    NotRegistered,
    Refused,
    /// No connection, no answer in time, or one that does not show whether it was executed.
    Unknown,
}

/// The result of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegisterOutcome {
    Done,
    /// Not executed.
    Failed,
    /// Not executed: the agent rejected it.
    Refused,
    /// No answer in time, or one that does not show whether it was executed.
    Unknown,
}

/// The agent's record of the id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// A record of another incarnation.
    AnotherRun,
    /// A record without an incarnation, written by hand or by another tool.
    Edited,
    /// Ours, with another address or other details than the last registration, or without one of its checks.
    Outdated,
    Ours {
        catalog: Catalog,
    },
    Unknown,
}

/// Whether the catalog has the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Catalog {
    Has,
    Lacks,
    /// It was not read.
    Unknown,
}

/// An output of the state machine. Each but `Notice` leads to exactly one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Check that the program accepts connections, determine its place, and connect to it.
    Probe,
    Register {
        place: Place,
    },
    /// Set the check to the status that the program reported last.
    Heartbeat {
        epoch: u32,
        status: CheckStatus,
    },
    /// Read the agent's record, and the catalog if `catalog` is set.
    Look {
        epoch: u32,
        catalog: bool,
    },
    /// Deregister dead instances at the address of this one.
    Sweep,
    Maintain,
    Deregister,
    Notice(Notice),
}

/// A condition to log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Registered at the agent, but still not in the catalog.
    Unseen,
    /// The agent lost or changed the registration.
    Lost,
    /// The address of this machine is no longer the published one.
    Moved,
    /// Ended without a confirmed deregistration.
    GaveUp,
}
