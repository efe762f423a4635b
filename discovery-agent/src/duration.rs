//! Durations as Go writes and reads them (`1m30s`, `500ms`): <https://pkg.go.dev/time#ParseDuration>.

/// Nanoseconds, as in Go. Negative durations are parsed, since Consul has its own error texts for them.
///
/// # Errors
///
/// The text is not a duration. The error is Go's.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let count: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        let after = &rest[digits..];
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let Some((_, each)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}"));
        };
        nanos += count * each;
        rest = after;
    }
    let nanos = sign * nanos;
    if nanos.abs() < i64::MAX as f64 { Ok(nanos as i64) } else { Err(invalid()) }
}

/// Units, in nanoseconds.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_go_parses() {
        let cases = [
            ("0", Some(0)),
            ("1s", Some(1_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("500ms", Some(500_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            ("-2us", Some(-2_000)),
            ("+3µs", Some(3_000)),
            ("", None),
            ("abc", None),
            ("-", None),
            ("s", None),
            ("1..5s", None),
            ("9999999999h", None),
        ];
        for (text, nanos) in cases {
            let invalid = format!("time: invalid duration {text:?}");
            assert_eq!(parse(text), nanos.ok_or(invalid), "{text:?}");
        }
    }

    #[test]
    fn reports_units_as_go_does() {
        assert_eq!(parse("10"), Err("time: missing unit in duration \"10\"".to_owned()));
        let unknown = "time: unknown unit \"x\" in duration \"1x\"";
        assert_eq!(parse("1x"), Err(unknown.to_owned()));
    }
}
