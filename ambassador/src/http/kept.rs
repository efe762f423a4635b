//! Idle connections to instances, kept for the next request. Each worker has its own, and they belong to its runtime.

use std::{
    cell::RefCell,
    collections::HashMap,
    task::{Context, Waker},
    time::Duration,
};

use discovery::MemberId;
use rustix::net::{RecvFlags, recv};
use tokio::time::Instant;

use crate::stream::Stream;

#[derive(Debug)]
pub(super) struct Kept {
    /// Per instance.
    max: usize,
    age_max: Duration,
    idle: RefCell<HashMap<MemberId, Vec<Idle>>>,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    until: Instant,
}

/// How surely a connection has to be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// As far as the runtime knows: for a request that can be sent again.
    Known,
    /// The system is asked: for a request that can not.
    Asked,
}

impl Kept {
    pub(super) fn new(max: usize, age_max: Duration) -> Self {
        Self { max, age_max, idle: RefCell::default() }
    }

    /// An idle connection to this instance. The last one used is the first one taken: under less load the others grow old.
    pub(super) fn take(&self, member: MemberId, check: Check, now: Instant) -> Option<Stream> {
        let mut idle = self.idle.borrow_mut();
        let of_member = idle.get_mut(&member)?;
        while let Some(last) = of_member.pop() {
            if now < last.until && is_open(&last.stream, check) {
                return Some(last.stream);
            }
        }
        None
    }

    /// Keeps a connection whose last response is complete, unless there are enough. Returns whether it is the only one.
    pub(super) fn put(&self, member: MemberId, stream: Stream, now: Instant) {
        let mut idle = self.idle.borrow_mut();
        let of_member = idle.entry(member).or_default();
        if of_member.len() < self.max {
            of_member.push(Idle { stream, until: now + self.age_max });
        }
    }

    /// Closes those that are too old or were closed by the instance. Returns whether any is left.
    pub(super) fn close_old(&self, now: Instant) -> bool {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|_, of_member| {
            of_member.retain(|idle| now < idle.until && is_open(&idle.stream, Check::Known));
            !of_member.is_empty()
        });
        !idle.is_empty()
    }
}

/// Whether nothing has come on an idle connection: neither its end nor unexpected bytes.
fn is_open(stream: &Stream, check: Check) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    let is_silent = stream.poll_read_ready(&mut cx).is_pending();
    let ask = || recv(stream, &mut [0u8; 1], RecvFlags::DONTWAIT | RecvFlags::PEEK);
    is_silent
        && match check {
            Check::Known => true,
            Check::Asked => matches!(ask(), Err(rustix::io::Errno::AGAIN)),
        }
}
