//! Slow start: the share of an instance that is new, or was ejected, rises over a time. Pure.
//!
//! Linear in its age, from a tenth on, as in Envoy's slow start with an aggression of 1 and in HAProxy's `slowstart`.

use std::time::Duration;

/// The share at the beginning: enough to warm up at all.
const SHARE_MIN: f32 = 0.1;

/// The share of its usual calls that an instance of this age gets: 0.1 to 1.
pub(crate) fn share(age: Duration, span: Duration) -> f32 {
    if age >= span {
        return 1.0;
    }
    (age.as_secs_f32() / span.as_secs_f32()).max(SHARE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_rises_from_a_tenth_to_all() {
        let seconds = Duration::from_secs;
        for (age, expected) in
            [(0, 0.1), (1, 0.1), (2, 0.2), (5, 0.5), (9, 0.9), (10, 1.0), (99, 1.0)]
        {
            assert_eq!(share(seconds(age), seconds(10)), expected, "{age} s");
        }
        assert_eq!(share(Duration::ZERO, Duration::ZERO), 1.0, "off");
    }
}
