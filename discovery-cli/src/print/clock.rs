//! The time of day, in UTC, for comparison with the logs of other machines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// As `23:59:59.999Z`.
pub(crate) fn time_of_day(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{millis:03}Z", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_printed_as_time_of_day() {
        for (millis, written) in
            [(0, "00:00:00.000Z"), (86_399_999, "23:59:59.999Z"), (90_061_005, "01:01:01.005Z")]
        {
            assert_eq!(time_of_day(UNIX_EPOCH + Duration::from_millis(millis)), written);
        }
    }
}
