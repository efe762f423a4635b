//! The invariants that are checked after each event and at each registration.

use super::*;

impl World {
    /// Checks the invariants.
    pub(super) fn check(&self) {
        if matches!(self.machine.phase, Phase::Active(_)) && self.machine.heartbeat_every.is_some()
        {
            let gap = self.now - self.last_heartbeat;
            assert!(gap <= HEARTBEAT_EVERY, "no heartbeat for {gap:?}");
            let (reported, at) = self.reported;
            let is_late = self.now - at > REPORT_GAP && self.last_sent != Some(reported);
            assert!(!is_late, "{reported} was not sent");
        }
        if let Some(left_at) = self.left_at {
            let over = self.now > left_at + self.drain + LOCAL_WITHIN;
            assert!(!over || self.state() == RegistrationState::Left, "still not left");
        }
        let calls_max = 60.0 + 2.0 * (self.now - self.start).as_secs_f64();
        assert!(self.calls.len() as f64 <= calls_max, "a busy loop");
    }

    /// Checks the invariants of a registration, the first one, one after a loss or one of changed details.
    pub(super) fn registers(&mut self, place: Place) {
        assert!(!self.registering, "two registrations in flight");
        assert!(self.left_at.is_none(), "a registration after leaving");
        let is_critical = self.reported.0 == CheckStatus::Critical;
        let has_heartbeats = self.machine.heartbeat_every.is_some();
        assert!(!is_critical || !has_heartbeats, "registers while critical");
        if matches!(self.machine.phase, Phase::Active(_)) {
            assert_eq!(self.published, Some(place), "an address that was not published");
            let failed = matches!(
                self.registered,
                Some((RegisterOutcome::Failed | RegisterOutcome::Refused, _))
            );
            assert!(
                failed || self.sent_details < self.details,
                "registered again without a change"
            );
            let gap = self.registered.map(|(_, ended)| self.now - ended);
            assert!(failed || gap.is_some_and(|gap| gap >= UPDATE_GAP), "too soon: {gap:?}");
        } else {
            assert_eq!(self.probed.take(), Some(place), "published without being probed");
            let failed = |how| matches!(how, RegisterOutcome::Failed | RegisterOutcome::Refused);
            let open = self.registered.is_some_and(|(how, _)| !failed(how));
            assert!(!open || self.missed, "registered again without a sign of a loss");
            self.last_sent = None;
        }
        self.registering = true;
        self.published = Some(place);
        self.sent_details = self.details;
    }
}
