//! The watches of callers, and their calls.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::Instant;

use super::{
    caller::Call,
    consul::copy_of,
    faults::CALM_AFTER,
    invariants::{self, SETTLES_WITHIN},
    requests::{Ask, Party},
    world::{Happens, World},
};
use crate::{
    Pick, TryError, Verdict,
    tries::TryOutcome,
    watch::machine::{self as watch, Next},
};

/// How much longer than its wait a query may take, and how long one without a wait.
const SLACK: Duration = Duration::from_secs(5);
const AT_ONCE_WITHIN: Duration = Duration::from_secs(10);
/// The mean time from one call of a caller to the next.
const CALL_EVERY: Duration = Duration::from_millis(150);

impl World {
    pub(super) fn watch(&mut self, caller: usize, event: watch::Event) {
        let draw = self.rng.f64();
        let step = self.callers[caller].machine.step(event, self.now, draw);
        if let Some(notice) = step.notice {
            let deadline = self.callers[caller].notice(notice, self.now);
            self.published(caller, deadline);
        }
        match step.next {
            Next::SleepUntil(at) => self.at(at, Happens::WatchDue(caller)),
            Next::Ask(after) => {
                self.rates[self.processes.len() + caller].sent(self.now, true);
                self.tally.queries += 1;
                let within = after.map_or(AT_ONCE_WITHIN, |(_, wait)| wait + wait / 16 + SLACK);
                self.send(Party::Caller(caller), Ask::Query(after), within);
            }
        }
    }

    pub(super) fn published(&mut self, caller: usize, deadline: Option<Instant>) {
        if let Some(at) = deadline {
            self.at(at, Happens::PoolDue(caller));
        }
        let caller = &self.callers[caller];
        invariants::check_members(caller, &self.processes, self.now);
        invariants::check_ejected(caller);
    }

    pub(super) fn call(&mut self, number: usize) {
        self.within(CALL_EVERY * 2, Happens::Calls(number));
        let caller = &self.callers[number];
        if !caller.has_answer() {
            return;
        }
        let method = if self.rng.u8(..4) == 0 { Method::POST } else { Method::GET };
        self.tally.calls += 1;
        self.tally.unsafe_calls += u64::from(method == Method::POST);
        caller.budget.request(self.now);
        let mut call = Call::new(number, method, &caller.options, self.now);
        let pick = caller.pool.pick_with(call.tries.picking().at(self.now));
        self.calls.push(call);
        match pick {
            Ok(pick) => self.tries(self.calls.len() - 1, pick),
            Err(_) => self.has_failed(self.calls.len() - 1),
        }
    }

    /// Begins a try.
    fn tries(&mut self, call: usize, pick: Pick) {
        let Call { caller, tries, limits, .. } = &mut self.calls[call];
        let begun = tries.start(&pick, self.now);
        *limits = Some(begun);
        let caller = &self.callers[*caller];
        let (process, run) = copy_of(pick.instance());
        let is_reserve = caller.member(&pick).is_some_and(|it| it.reserve_until.is_some());
        self.tally.calls_to_reserves += u64::from(is_reserve);
        self.gone.check_pick(caller, run, is_reserve, self.now);
        let is_cut = self.now < caller.partitioned_until[process];
        self.calls[call].pick = Some(pick);
        if is_cut {
            let span = begun.connect().span();
            self.calls[call].outcome = Some(TryOutcome::NotConnected(TryError::NotConnected(span)));
            self.at(begun.connect().at(), Happens::Ends(call));
        } else {
            let delay = self.delay();
            self.at(self.now + delay, Happens::Reaches(call));
        }
    }

    pub(super) fn reaches(&mut self, number: usize) {
        let pick = self.calls[number].pick.as_ref().expect("a try has a pick");
        let (place, _) = copy_of(pick.instance());
        let (limits, luck) =
            (self.calls[number].limits.expect("a try has limits"), self.rng.u8(..4));
        let process = &self.processes[place];
        let status = |status, leaving| TryOutcome::Answer { status, leaving, retry_after: None };
        let served = |outcome| (outcome, true);
        let (outcome, is_served) = if !process.listens(self.now) {
            (TryOutcome::NotConnected(TryError::Refused), false)
        } else if self.now < process.hangs_until {
            served(TryOutcome::no_answer(TryError::Silent(limits.answer().span())))
        } else if process.is_leaving && luck < 2 {
            (status(StatusCode::SERVICE_UNAVAILABLE, true), false)
        } else if self.now < process.errs_until {
            match luck {
                0 => served(status(StatusCode::INTERNAL_SERVER_ERROR, false)),
                1 => served(TryOutcome::no_answer(TryError::Closed)),
                _ => served(status(StatusCode::SERVICE_UNAVAILABLE, false)),
            }
        } else {
            served(status(StatusCode::OK, false))
        };
        let run = process.run;
        let is_silent = matches!(outcome, TryOutcome::NoAnswer { why: TryError::Silent(_), .. });
        let (delay, work) = (self.delay(), Duration::from_millis(20).mul_f64(self.rng.f64()));
        let at = if is_silent { limits.answer().at() } else { self.now + delay + work };
        let call = &mut self.calls[number];
        (call.outcome, call.reached) = (Some(outcome), Some((place, run)));
        call.served += u32::from(is_served);
        invariants::check_served(&call.method, call.served);
        self.at(at, Happens::Ends(number));
    }

    /// The outcome of the current try is known.
    pub(super) fn ends(&mut self, number: usize) {
        let call = &mut self.calls[number];
        let pick = call.pick.take().expect("a try has a pick");
        let mut outcome = call.outcome.take().expect("a try has an outcome");
        if let Some((process, run)) = call.reached.take()
            && (self.processes[process].run != run || self.processes[process].machine.is_none())
            && matches!(outcome, TryOutcome::Answer { .. })
        {
            outcome = TryOutcome::no_answer(TryError::Closed);
        }
        let next = call.tries.ended(&pick, &outcome, self.now);
        let caller = &self.callers[call.caller];
        let member = caller.member(&pick);
        let is_out = || member.as_ref().is_some_and(|it| it.stats.ejected_until().is_some());
        let was_out = is_out();
        let mut verdict = outcome.verdict();
        if matches!(outcome, TryOutcome::Answer { status: StatusCode::OK, .. }) {
            verdict = Verdict::SUCCESS;
        }
        drop(pick.judge_at(verdict, self.now));
        self.tally.ejections += u64::from(!was_out && is_out());
        invariants::check_ejected(caller);
        invariants::check_members(caller, &self.processes, self.now);
        match next {
            Ok(at) => self.at(at.max(self.now), Happens::Retries(number)),
            Err(_) => {
                let is_good = matches!(outcome, TryOutcome::Answer { status: StatusCode::OK, .. });
                if !is_good {
                    self.has_failed(number);
                }
            }
        }
    }

    pub(super) fn retries(&mut self, number: usize) {
        let Call { caller, tries, .. } = &mut self.calls[number];
        let caller = &self.callers[*caller];
        match tries.another(&caller.pool, &caller.budget, self.now) {
            Ok(pick) => {
                self.tally.retries += 1;
                self.tries(number, pick);
            }
            Err(_) => self.has_failed(number),
        }
    }

    fn has_failed(&mut self, number: usize) {
        let Call { began_at, method, .. } = &self.calls[number];
        self.tally.failed_calls += 1;
        self.tally.unsafe_failures += u64::from(*method == Method::POST);
        let is_calm = *began_at > self.start + CALM_AFTER + SETTLES_WITHIN;
        assert!(!is_calm, "a {method} failed long after the last fault");
    }
}
