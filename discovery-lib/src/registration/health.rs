//! What a program reports about its own health, for the heartbeats of its TTL check. The latest report wins.

use std::borrow::Cow;

use consul_wire::check::CheckStatus;
use tokio::sync::watch;

/// The output of a check whose program has reported nothing.
const UNREPORTED: &str = "heartbeat ok";
/// The longest note, in bytes: it is part of each heartbeat's URL.
const NOTE_MAX: usize = 512;

/// The last report.
#[derive(Debug)]
pub(super) struct Health(watch::Sender<Report>);

#[derive(Debug)]
struct Report {
    status: CheckStatus,
    note: Cow<'static, str>,
}

/// The reports as they come.
#[derive(Debug)]
pub(super) struct Reports(watch::Receiver<Report>);

impl Default for Health {
    fn default() -> Self {
        let report = Report { status: CheckStatus::Passing, note: UNREPORTED.into() };
        Self(watch::Sender::new(report))
    }
}

impl Health {
    /// A longer note is cut at [`NOTE_MAX`].
    pub(super) fn report(&self, status: CheckStatus, note: &str) {
        let note = note[..note.floor_char_boundary(NOTE_MAX)].to_owned().into();
        self.0.send_replace(Report { status, note });
    }

    pub(super) fn note(&self) -> String {
        self.0.borrow().note.clone().into_owned()
    }

    /// Starts with the current report if there was one.
    pub(super) fn subscribe(&self) -> Reports {
        let mut reports = self.0.subscribe();
        reports.mark_changed();
        Reports(reports)
    }
}

impl Reports {
    /// Waits for the next report. Cancel-safe.
    pub(super) async fn changed(&mut self) -> CheckStatus {
        match self.0.changed().await {
            Ok(()) => self.0.borrow_and_update().status,
            // The program has dropped its handles: no report follows.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_latest_report_wins() {
        let health = Health::default();
        health.report(CheckStatus::Warning, "disk nearly full");
        let mut reports = health.subscribe();
        assert_eq!(reports.changed().await, CheckStatus::Warning);
        health.report(CheckStatus::Critical, "disk full");
        health.report(CheckStatus::Passing, "ok again");
        assert_eq!(
            (reports.changed().await, health.note()),
            (CheckStatus::Passing, "ok again".into())
        );
    }

    #[test]
    fn a_long_note_is_cut_between_two_characters() {
        let health = Health::default();
        health.report(CheckStatus::Critical, &"ä".repeat(NOTE_MAX));
        assert_eq!(health.note(), "ä".repeat(NOTE_MAX / 2));
    }
}
