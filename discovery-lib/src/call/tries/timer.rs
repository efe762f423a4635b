//! How long one try waits: for its instance to accept the request, then for the head of the response. It reads the clock only when needed.
//!
//! The deadline of a request that is sent at once is `answer`. A longer one has the stall limit between two pieces, and then the limit of the
//! try from its last byte. While its body has nothing to send, only the end of the call limits it. That limits the others, too.

use std::time::Duration;

use tokio::time::Instant;

use super::{super::failed_try::TryError, Deadline, TryOutcome};

/// The limits of one try ([`Tries::start`](super::Tries::start)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub(crate) connect: Deadline,
    pub(crate) answer: Deadline,
    pub(crate) attempt: Duration,
    pub(crate) stall: Duration,
    pub(crate) until: Deadline,
}

impl Limits {
    /// For a connection to the instance, the resolution of its name included.
    #[must_use]
    pub fn connect(&self) -> Deadline {
        self.connect
    }

    /// For the head of the response, if the request is sent at once. A longer request has the deadlines of a [`TryTimer`].
    #[must_use]
    pub fn answer(&self) -> Deadline {
        self.answer
    }

    /// From one piece of a body to the next, in both directions.
    #[must_use]
    pub fn stall(&self) -> Duration {
        self.stall
    }

    /// The end of the call.
    #[must_use]
    pub fn until(&self) -> Deadline {
        self.until
    }
}

/// How long a try waits while its request is sent, and then for the head of the response.
///
/// After each step that brought no response, the owner of the connection asks for the deadline with [`TryTimer::until`] or
/// [`TryTimer::starved`], and waits for that long at most. [`TryTimer::late`] is the outcome once it has passed.
#[derive(Debug)]
pub struct TryTimer {
    limits: Limits,
    stage: Stage,
    deadline: Deadline,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Begun,
    /// The number of bytes written at the last change.
    Sending(u64),
    /// All that the body has produced is sent, and it is not complete.
    Starved,
    Sent,
}

impl TryTimer {
    /// For a try that starts now.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, stage: Stage::Begun, deadline: limits.answer }
    }

    /// Until when to wait, after a step that brought no response: whether all of the request is sent, and how many bytes were written so
    /// far. `now` is called only when the deadline changes.
    pub fn until(
        &mut self,
        is_sent: bool,
        written: u64,
        now: impl FnOnce() -> Instant,
    ) -> Deadline {
        let Limits { attempt, stall, until, .. } = self.limits;
        match self.stage {
            Stage::Sent => {}
            Stage::Begun if is_sent => self.stage = Stage::Sent,
            Stage::Sending(_) | Stage::Starved if is_sent => {
                self.stage = Stage::Sent;
                self.deadline = until.at_most(attempt, now());
            }
            Stage::Sending(before) if before == written => {}
            Stage::Begun | Stage::Sending(_) | Stage::Starved => {
                self.stage = Stage::Sending(written);
                self.deadline = until.at_most(stall, now());
            }
        }
        self.deadline
    }

    /// Until when to wait while the body has nothing to send: only the end of the call limits its producer.
    pub fn starved(&mut self) -> Deadline {
        self.stage = Stage::Starved;
        self.deadline = self.limits.until;
        self.deadline
    }

    /// The outcome once the deadline has passed: the instance was silent for too long, or the call ended while it accepted the request.
    #[must_use]
    pub fn late(&self) -> TryOutcome {
        let Limits { stall, until, .. } = self.limits;
        let silent_for = self.deadline.span;
        match self.stage {
            Stage::Begun | Stage::Sent => TryOutcome::no_answer(TryError::Silent(silent_for)),
            Stage::Sending(_) if silent_for >= until.silence(stall) => {
                TryOutcome::no_answer(TryError::Stalled(silent_for))
            }
            Stage::Starved => TryOutcome::OutOfTime(TryError::BodyUnfinished(until.span)),
            Stage::Sending(_) => TryOutcome::OutOfTime(TryError::Unfinished(until.span)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// What each poll found (whether the request has left, the bytes written, the time), the deadline after the last, and why it is late then.
    #[test]
    fn a_try_waits_for_the_request_to_leave_and_then_for_its_answer() {
        let stalled = |millis| TryOutcome::no_answer(TryError::Stalled(ms(millis)));
        let silent = |millis| TryOutcome::no_answer(TryError::Silent(ms(millis)));
        let unfinished = TryOutcome::OutOfTime(TryError::Unfinished(ms(5000)));
        for (polls, deadline, late) in [
            (&[(true, 9, 0)][..], 1000, silent(1000)),
            (&[(true, 9, 0), (true, 9, 900)], 1000, silent(1000)),
            (&[(false, 9, 0)], 2000, stalled(2000)),
            (&[(false, 9, 0), (false, 9, 1500)], 2000, stalled(2000)),
            (&[(false, 9, 0), (false, 10, 1500)], 3500, stalled(2000)),
            (&[(false, 9, 0), (false, 10, 1500), (true, 11, 3000)], 4000, silent(1000)),
            (&[(false, 9, 0), (true, 11, 4500)], 5000, silent(500)),
            (&[(false, 9, 0), (false, 10, 3000)], 5000, stalled(2000)),
            (&[(false, 9, 0), (false, 10, 3001)], 5000, unfinished),
        ] {
            let start = Instant::now();
            let mut timer = TryTimer::new(Limits {
                connect: Deadline::after(ms(250), start),
                answer: Deadline::after(ms(1000), start),
                attempt: ms(1000),
                stall: ms(2000),
                until: Deadline::after(ms(5000), start),
            });
            let mut last = None;
            for &(is_sent, written, at) in polls {
                last = Some(timer.until(is_sent, written, || start + ms(at)));
            }
            assert_eq!(last.unwrap().at - start, ms(deadline), "{polls:?}");
            assert_eq!(timer.late(), late, "{polls:?}");
        }
    }

    #[test]
    fn the_clock_is_not_read_for_a_request_that_is_sent_at_once() {
        let start = Instant::now();
        let (answer, until) = (Deadline::after(ms(1000), start), Deadline::after(ms(5000), start));
        let limits = Limits { connect: answer, answer, attempt: ms(1000), stall: ms(2000), until };
        let mut timer = TryTimer::new(limits);
        for _ in 0..3 {
            timer.until(true, 100, || panic!("read the clock"));
        }
    }
}
