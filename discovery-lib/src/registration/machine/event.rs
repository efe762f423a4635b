//! What the registrar's machine is told, and what it asks for.

use std::net::IpAddr;

use tokio::time::Instant;

/// How far a registration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RegistrationState {
    /// It does not accept connections yet, or nothing answers at the address that would be published.
    Probing,
    /// The agent doesn't have it, or nobody knows; being registered, over and over.
    Registering,
    /// Refused for a reason that time alone does not mend ([`refusal`](crate::Registered::refusal)): settings that can't work, or an agent
    /// that answered 400 or 403. It is tried again, slowly, because a token may be given later.
    Refused,
    /// The agent has it; the catalog, from which others read, does not show it yet.
    Registered,
    /// Everybody can find it.
    Ready,
    /// Another run registered under its id. It is no longer found, and does nothing more about it.
    Replaced,
    /// On its way out.
    Leaving,
    /// Over.
    Left,
    /// Nothing keeps it registered any more: its registrar ended without having left, with the runtime where it ran.
    Abandoned,
}

impl RegistrationState {
    /// Whether it is the last one: nothing keeps the instance registered, and no other state follows.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Replaced | Self::Left | Self::Abandoned)
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Event {
    /// The moment of [`wakes_at`](super::Machine::wakes_at) came.
    Tick,
    /// A probe ended.
    Probed(Probed),
    /// A registration ended.
    Registered(RegisterOutcome),
    /// A beat ended.
    HeartbeatEnded { epoch: u32, heartbeat: Heartbeat },
    /// A look ended. It also tells where the instance is now, as far as that is known.
    Looked { epoch: u32, found: Found, place: Option<Place> },
    /// The program wants to end.
    Leave(Leave),
    /// Maintenance was asked for; as a courtesy to callers, so it doesn't count whether it worked.
    Maintained,
    /// A deregistration ended.
    Deregistered { done: bool },
    /// The dead were cleared away, as far as that was possible; it doesn't count how far.
    Swept,
}

/// The order to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) struct Leave {
    /// Until then it may be in maintenance, so that callers learn that it leaves.
    pub(in crate::registration) deregister_at: Instant,
    /// Then all ends, whatever the agent says.
    pub(in crate::registration) give_up_at: Instant,
}

/// The host that is published for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Place {
    /// The one that it was told.
    Advertised,
    /// None of its own, so that Consul uses that of the agent's node.
    Node,
    /// An address of this machine.
    At(IpAddr),
}

/// What a probe found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Probed {
    /// The instance answers, as far as that can be told from here, and this is where others find it.
    Answered(Place),
    /// Nothing answers there, or the place is not known now.
    Silent,
    /// With these settings nobody could reach it.
    Refused,
}

/// What became of a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Heartbeat {
    Passed,
    /// The agent no longer knows the check.
    Forgotten,
    Refused,
    /// No connection, no answer in time, or one that leaves it open.
    Unknown,
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum RegisterOutcome {
    Done,
    /// Surely not.
    Failed,
    /// Surely not, and the agent does not want it as it is.
    Refused,
    /// No answer in time, or one that leaves it open.
    Unknown,
}

/// What the agent's own record of the id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Found {
    Nothing,
    /// A record of another incarnation.
    AnotherRun,
    /// A record without an incarnation, written by hand or by another tool, or ours with another address than is published: not another run,
    /// but not what it should be.
    Edited,
    Ours {
        catalog: Catalog,
    },
    Unknown,
}

/// Whether the catalog, from which others read, has the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Catalog {
    Has,
    Lacks,
    /// It was not read.
    Unknown,
}

/// What is to be done. Each but `Notice` leads to exactly one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Effect {
    /// Does it accept, where is it, and does anything answer there?
    Probe,
    Register {
        place: Place,
    },
    Heartbeat {
        epoch: u32,
    },
    /// Does the agent have it? And the catalog, where that is asked for?
    Look {
        epoch: u32,
        catalog: bool,
    },
    /// Takes those off the agent that died where this one runs.
    Sweep,
    Maintain,
    Deregister,
    Notice(Notice),
}

/// What a person should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Notice {
    /// At the agent for a while, and still not in the catalog.
    Unseen,
    /// The agent no longer has it as it should be.
    Lost,
    /// This machine's address is no longer the published one.
    Moved,
    /// Ended without knowing that it is deregistered.
    GaveUp,
}
