//! Durations as Go writes and reads them (`1m30s`, `500ms`): <https://pkg.go.dev/time#ParseDuration>.

/// Nanoseconds, as Go counts them; `None` for what Go would not read. Negative ones are read, since Consul has words of its own for them.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let count: f64 = rest[..digits].parse().ok()?;
        let (unit, after) = unit(&rest[digits..])?;
        nanos += count * unit;
        rest = after;
    }
    let nanos = sign * nanos;
    (nanos.abs() < i64::MAX as f64).then_some(nanos as i64)
}

/// The unit that a text begins with, in nanoseconds, and what follows it.
fn unit(text: &str) -> Option<(f64, &str)> {
    // Longer ones first: `ms` before `m`.
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
    UNITS.iter().find_map(|(name, nanos)| Some((*nanos, text.strip_prefix(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        let cases = [
            ("0", Some(0)),
            ("1s", Some(1_000_000_000)),
            ("1m30s", Some(90_000_000_000)),
            ("500ms", Some(500_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            ("-2us", Some(-2_000)),
            ("+3µs", Some(3_000)),
            ("", None),
            ("2", None),
            ("abc", None),
            ("1x", None),
            ("-", None),
            ("s", None),
            ("1..5s", None),
            ("9999999999h", None),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse(text), nanos, "{text:?}");
        }
    }
}
