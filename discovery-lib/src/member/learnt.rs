//! What callers learn about one running copy, shared by all of them: the words of the pure machines, and how they are moved.

use std::{
    any::Any,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    Allowance, MemberId, Moment, Signal, Standing, Verdict,
    breaker::Breaker,
    latency::Latency,
    window::{Outcome, Window},
};

/// What callers have learnt. A cache line of its own, so that calls to one member don't slow down those to another.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Learnt {
    latency: Latency,
    breaker: AtomicU64,
    in_flight: AtomicU32,
    refused: AtomicBool,
    window: Window,
    id: MemberId,
    epoch: Instant,
    allowance: Arc<Allowance>,
    /// What callers keep for this copy (connections): made when it is first asked for, gone with this.
    attached: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl Learnt {
    pub(crate) fn new(epoch: Instant, allowance: Arc<Allowance>, now: Instant) -> Self {
        Self {
            latency: Latency::default(),
            breaker: AtomicU64::new(Breaker::new(Moment::new(now, epoch)).pack()),
            in_flight: AtomicU32::new(0),
            refused: AtomicBool::new(false),
            window: Window::default(),
            id: MemberId::next(),
            epoch,
            allowance,
            attached: OnceLock::new(),
        }
    }

    pub(crate) fn id(&self) -> MemberId {
        self.id
    }

    /// What callers keep for this copy: one thing of one type, which is not this layer's to know.
    pub(crate) fn attached<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let attached = self.attached.get_or_init(|| Arc::new(T::default()));
        Arc::clone(attached).downcast().unwrap_or_default()
    }

    pub(crate) fn latency(&self) -> &Latency {
        &self.latency
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Whether a caller was refused since it became a reserve.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    pub(crate) fn standing(&self, now: Moment) -> Standing {
        Breaker::unpack(self.breaker.load(Relaxed)).standing(now)
    }

    /// When its ejection ends; None while it is in.
    pub(crate) fn ejected_until(&self) -> Option<Instant> {
        match Breaker::unpack(self.breaker.load(Relaxed)) {
            Breaker::Ejected { until, .. } | Breaker::Probing { until, .. } => {
                Some(self.epoch + until.since(Moment::default()))
            }
            Breaker::Off | Breaker::Well { .. } => None,
        }
    }

    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Takes the one place of a probe.
    pub(crate) fn take_probe(&self, now: Moment) -> bool {
        let step = |word| Breaker::unpack(word).probed(now).map(Breaker::pack);
        self.breaker.fetch_update(Relaxed, Relaxed, step).is_ok()
    }

    /// Learns the outcome of a pick of that moment; `out`: it was ejected then.
    pub(crate) fn judge(&self, verdict: Verdict, picked: Moment, out: bool) {
        let now = Moment::new(Instant::now(), self.epoch);
        let elapsed = now.since(picked);
        match verdict.breaker {
            signal if out => return self.judge_out(verdict, signal, elapsed, now),
            Signal::None => {}
            signal => self.judge_in(signal, now),
        }
        self.latency.charge(verdict.latency, elapsed, now);
    }

    fn judge_in(&self, signal: Signal, now: Moment) {
        let outcome = if signal == Signal::Success { Outcome::Good } else { Outcome::Bad };
        self.window.record(outcome, now);
        if signal == Signal::Refused {
            self.refused.store(true, Relaxed);
        }
        let is_low = |since| self.window.is_low(since, now);
        self.step(|breaker| breaker.heard(signal, is_low, now, fastrand::f32));
    }

    fn judge_out(&self, verdict: Verdict, signal: Signal, elapsed: Duration, now: Moment) {
        let (before, after) = self.step(|breaker| breaker.heard_out(signal, now, fastrand::f32));
        if before.is_out() && !after.is_out() {
            self.latency.restart(elapsed, now);
        } else {
            self.latency.charge(verdict.latency, elapsed, now);
        }
    }

    /// It is a reserve from now on, or has left: no longer judged.
    pub(crate) fn switch_off(&self) {
        let (before, _) = self.step(|_| Breaker::Off);
        if before != Breaker::Off {
            self.refused.store(false, Relaxed);
        }
    }

    /// It is no reserve any more.
    pub(crate) fn switch_on(&self, now: Moment) {
        self.step(|breaker| if breaker == Breaker::Off { Breaker::new(now) } else { breaker });
    }

    /// Lets it in, although its time is not over: too many are out.
    pub(crate) fn readmit(&self, now: Moment) {
        self.step(|breaker| breaker.readmitted(now));
    }

    /// Moves the breaker and keeps the count of ejections right. An ejection that is not allowed leaves it as it was, so that the next
    /// failure asks again.
    fn step(&self, next: impl Fn(Breaker) -> Breaker) -> (Breaker, Breaker) {
        let mut word = self.breaker.load(Relaxed);
        loop {
            let before = Breaker::unpack(word);
            let after = next(before);
            let ejects = !before.is_out() && after.is_out();
            if before == after || (ejects && !self.allowance.take()) {
                return (before, before);
            }
            match self.breaker.compare_exchange_weak(word, after.pack(), Relaxed, Relaxed) {
                Ok(_) => {
                    if before.is_out() && !after.is_out() {
                        self.allowance.give_back();
                    }
                    return (before, after);
                }
                Err(newer) => {
                    if ejects {
                        self.allowance.give_back();
                    }
                    word = newer;
                }
            }
        }
    }
}
