//! The timer of a connection, for the deadline of one wait after the other.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Sleep, sleep_until};

use super::super::tries::Deadline;

/// Set for the deadline of one request, and moved to a later deadline only when it fires: most responses arrive long before, and setting a
/// timer per request costs more than the rest of the wait.
#[derive(Debug)]
pub(super) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(super) fn new(deadline: Deadline) -> Self {
        Self(Box::pin(sleep_until(deadline.at)))
    }

    /// Ready once the deadline has passed.
    pub(super) fn poll(&mut self, deadline: Deadline, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.deadline() > deadline.at {
            self.0.as_mut().reset(deadline.at);
        }
        while self.0.as_mut().poll(cx).is_ready() {
            if self.0.deadline() >= deadline.at {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(deadline.at);
        }
        Poll::Pending
    }
}
