//! The results of a probed check in a row, which its thresholds count.

use consul_wire::check::CheckStatus;

use super::Thresholds;

/// The results in a row of each kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streak(Thresholds);

impl Streak {
    /// As in Consul, both thresholds are reached at the start: results change the check at once until the first one of the other kind.
    pub(super) const fn new(thresholds: Thresholds) -> Self {
        Self(thresholds)
    }

    /// Adds a result, and returns whether it changes the check. As in Consul, a warning is a success.
    pub(super) fn add(&mut self, status: CheckStatus, thresholds: Thresholds) -> bool {
        let Thresholds { successes, failures } = self.0;
        let is_success = status != CheckStatus::Critical;
        self.0 = if is_success {
            Thresholds { successes: successes.saturating_add(1), failures: 0 }
        } else {
            Thresholds { successes: 0, failures: failures.saturating_add(1) }
        };
        if is_success {
            self.0.successes >= thresholds.successes
        } else {
            self.0.failures >= thresholds.failures
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The results: `p` passing, `w` warning, `c` critical. Those in capital letters change the check.
    #[track_caller]
    fn check(successes: u64, failures: u64, expected: &str) {
        let thresholds = Thresholds { successes, failures };
        let mut streak = Streak::new(thresholds);
        let letters = expected.chars().map(|result| {
            let status = match result.to_ascii_lowercase() {
                'p' => CheckStatus::Passing,
                'w' => CheckStatus::Warning,
                _ => CheckStatus::Critical,
            };
            let changes = streak.add(status, thresholds);
            if changes { result.to_ascii_uppercase() } else { result.to_ascii_lowercase() }
        });
        assert_eq!(letters.collect::<String>(), expected);
    }

    #[test]
    fn a_result_changes_the_check_after_enough_of_its_kind_in_a_row() {
        check(0, 0, "PCWCP");
        check(1, 1, "PCWCP");
        check(3, 0, "PCppCppPPCp");
        check(0, 3, "CPccPccCCPc");
        check(2, 2, "PcCpPcpcpP");
    }

    #[test]
    fn the_first_results_of_one_kind_change_the_check() {
        check(3, 3, "PPcc");
        check(3, 3, "CCpp");
    }

    #[test]
    fn a_warning_is_a_success() {
        check(3, 3, "WccwccCpwW");
    }
}
