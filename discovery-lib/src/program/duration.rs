//! Lengths of time as people type them: `2s`, `500ms`.

use std::time::Duration;

/// No length of time in the settings is longer: 1 hour. What is longer is a typing error.
const LENGTH_MAX: Duration = Duration::from_secs(3600);

const TAKES: &str = "it takes a time of at most an hour, like 2s, 500ms or 1m";

/// A length of time: a whole number and `ms`, `s` or `m`; at most an hour.
///
/// # Errors
/// What is wrong with the text and what would be right, as half a sentence.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    let (count, unit) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        _ => return Err(TAKES),
    };
    let count: u32 = count.parse().map_err(|_| TAKES)?;
    unit.checked_mul(count).filter(|length| *length <= LENGTH_MAX).ok_or(TAKES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_typed() {
        for (text, millis) in
            [("2s", 2_000), ("500ms", 500), ("0s", 0), ("1m", 60_000), ("60m", 3_600_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_is_refused() {
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
            assert_eq!(duration(text), Err(TAKES), "{text}");
        }
    }
}
