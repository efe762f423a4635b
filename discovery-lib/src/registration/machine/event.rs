//! What the registrar's machine is told, and what it asks for.

use tokio::time::Instant;

/// How far a registration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing answers at its own address yet.
    Probing,
    /// The agent doesn't have it, or nobody knows; being registered, over and over.
    Registering,
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

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Event {
    /// The moment of [`wakes_at`](super::Machine::wakes_at) came.
    Tick,
    /// Something answered at the instance's own address, or nothing.
    Probed { answered: bool },
    /// A registration ended.
    Registered(Outcome),
    /// A beat ended; all that counts is whether the agent no longer knows its check.
    Beaten { epoch: u32, forgotten: bool },
    /// A look ended.
    Looked { epoch: u32, found: Found },
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

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Outcome {
    Done,
    /// Surely not.
    Failed,
    /// No answer in time, or one that leaves it open.
    Unknown,
}

/// What the agent's own record of the id says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Found {
    Nothing,
    AnotherRun,
    Ours { in_catalog: bool },
    Unknown,
}

/// What is to be done. Each but `Tell` leads to exactly one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Effect {
    /// Does anything answer at the instance's own address?
    Probe,
    Register,
    Beat {
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
    Tell(Tell),
}

/// What a person should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registration) enum Tell {
    /// At the agent for a while, and still not in the catalog.
    Unseen,
    /// Ended without knowing that it is deregistered.
    GaveUp,
}
