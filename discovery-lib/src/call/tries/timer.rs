//! How long one try waits: for its instance to accept the request, then for the head of the response. It reads the clock only when needed.
//!
//! The deadline of a request that is sent at once is `answer`. A longer one has the stall limit between two pieces, and then the limit of the
//! try from its last byte. While its body has nothing to send, only the end of the call limits it. That limits the others, too.

use std::time::Duration;

use tokio::time::Instant;

use super::{super::failed_try::TryError, Deadline};

/// The limits of one try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The head of the answer to a request that leaves at once.
    pub(crate) answer: Deadline,
    /// From the end of the request to the head of its answer.
    pub(crate) attempt: Duration,
    /// From one piece of the request to the next.
    pub(crate) stall: Duration,
    /// The end of the call.
    pub(crate) until: Deadline,
}

#[derive(Debug)]
pub(crate) struct TryTimer {
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

/// What ended a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Late {
    /// The instance: it was silent for too long.
    Instance(TryError),
    /// The end of the call, while the instance took what it was sent.
    Call(TryError),
}

impl TryTimer {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, stage: Stage::Begun, deadline: limits.answer }
    }

    /// Until when to wait, after a poll that brought no answer: whether the request has left, and how many bytes were written so far.
    pub(crate) fn until(
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
    pub(crate) fn starved(&mut self) -> Deadline {
        self.stage = Stage::Starved;
        self.deadline = self.limits.until;
        self.deadline
    }

    /// Why it has ended, once the deadline has passed.
    pub(crate) fn late(&self) -> Late {
        let Limits { stall, until, .. } = self.limits;
        let silent_for = self.deadline.span;
        match self.stage {
            Stage::Begun | Stage::Sent => Late::Instance(TryError::Silent(silent_for)),
            Stage::Sending(_) if silent_for >= until.silence(stall) => {
                Late::Instance(TryError::Stalled(silent_for))
            }
            Stage::Starved => Late::Call(TryError::BodyUnfinished(until.span)),
            Stage::Sending(_) => Late::Call(TryError::Unfinished(until.span)),
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
        let stalled = |millis| Late::Instance(TryError::Stalled(ms(millis)));
        let silent = |millis| Late::Instance(TryError::Silent(ms(millis)));
        let unfinished = Late::Call(TryError::Unfinished(ms(5000)));
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
        let limits = Limits { answer, attempt: ms(1000), stall: ms(2000), until };
        let mut timer = TryTimer::new(limits);
        for _ in 0..3 {
            timer.until(true, 100, || panic!("read the clock"));
        }
    }
}
