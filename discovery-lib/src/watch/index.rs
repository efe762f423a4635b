//! Consul's rules for the index of a blocking query, as one pure function. The `machine` acts on the verdict.
//!
//! Source: <https://developer.hashicorp.com/consul/api-docs/features/blocking#implementation-details>.

/// The meaning of the index of an answer, given the index of its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No index, so nothing to wait for: the next query can only be a poll.
    Missing,
    /// Lower than that of the query: state was restored or reloaded, or another server answered. Start over.
    Backwards,
    /// Equal: nothing changed until the wait ended, or the agent does not wait at all.
    Still(u64),
    /// Higher, or the first.
    Forward(u64),
}

/// Consul calls an index of 0 a bug that a client should guard against: a query that carries it never waits.
const LOWEST: u64 = 1;

/// Judges the index of an answer.
pub(super) fn judge(asked: Option<u64>, answered: Option<u64>) -> Verdict {
    match (asked, answered.map(|index| index.max(LOWEST))) {
        (_, None) => Verdict::Missing,
        (Some(asked), Some(index)) if index < asked => Verdict::Backwards,
        (Some(asked), Some(index)) if index == asked => Verdict::Still(index),
        (_, Some(index)) => Verdict::Forward(index),
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict::*, *};

    #[test]
    fn the_index_rules() {
        let newest = u64::MAX;
        for (asked, answered, verdict) in [
            (None, Some(7), Forward(7)),
            (None, Some(newest), Forward(newest)),
            (Some(7), Some(8), Forward(8)),
            (Some(7), Some(7), Still(7)),
            (Some(7), Some(6), Backwards),
            (Some(7), Some(0), Backwards),
            (None, Some(0), Forward(1)),
            (Some(1), Some(0), Still(1)),
            (Some(7), None, Missing),
            (None, None, Missing),
        ] {
            assert_eq!(judge(asked, answered), verdict, "asked {asked:?}, answered {answered:?}");
        }
    }
}
