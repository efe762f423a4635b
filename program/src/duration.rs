//! Parses durations like `2s` or `500ms`.

use std::time::Duration;

/// The longest accepted duration: 1 hour. A longer one is probably a typing error.
const DURATION_MAX: Duration = Duration::from_secs(3600);

const EXPECTED: &str = "expected a duration of at most 1 hour, like 2s, 500ms or 1m";

/// Parses a duration: a whole number followed by `ms`, `s` or `m`; at most 1 hour.
///
/// # Errors
/// The accepted format, as a lowercase fragment.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    let (count, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        _ => return Err(EXPECTED),
    };
    let count: u32 = count.parse().map_err(|_| EXPECTED)?;
    unit.checked_mul(count).filter(|duration| *duration <= DURATION_MAX).ok_or(EXPECTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_durations_are_parsed() {
        for (text, millis) in
            [("2s", 2_000), ("500ms", 500), ("0s", 0), ("1m", 60_000), ("60m", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn invalid_durations_are_refused() {
        for text in [
            "2",
            "",
            "s",
            "1.5s",
            "-1s",
            "+1s",
            "2 s",
            "2h",
            "2µs",
            "61m",
            "4294967295m",
            "99999999999s",
        ] {
            assert_eq!(duration(text), Err(EXPECTED), "{text}");
        }
    }
}
