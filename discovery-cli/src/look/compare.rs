//! Two answers to one query, side by side. Pure.
//!
//! DNS has neither ids nor statuses, so the address identifies an instance; and it leaves out instances that are critical or in maintenance,
//! which is not a difference.

use std::{collections::BTreeSet, sync::Arc};

use discovery::{Host, Instance, Status};

/// An instance by HTTP (by DNS, if HTTP does not have it), and the result of the comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) instance: Arc<Instance>,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Both have it.
    Same,
    /// DNS leaves it out, as expected.
    LeftOut,
    /// DNS should have it, but does not.
    NotInDns,
    /// HTTP does not have it.
    OnlyInDns,
    /// DNS has it, although it should not be called.
    StillInDns,
    /// DNS has another weight.
    WeightInDns(u16),
}

impl Verdict {
    pub(crate) fn differs(self) -> bool {
        !matches!(self, Self::Same | Self::LeftOut)
    }
}

/// All instances of both, by address.
pub(crate) fn compare(http: &[Arc<Instance>], dns: &[Arc<Instance>]) -> Vec<Line> {
    let by_dns = |endpoint| dns.iter().find(|seen| self::endpoint(seen) == endpoint);
    let known: BTreeSet<_> = http.iter().map(|seen| endpoint(seen)).collect();
    let in_http = http.iter().map(|seen| Line {
        instance: seen.clone(),
        verdict: verdict(seen, by_dns(endpoint(seen))),
    });
    let only_in_dns = dns
        .iter()
        .filter(|seen| !known.contains(&endpoint(seen)))
        .map(|seen| Line { instance: seen.clone(), verdict: Verdict::OnlyInDns });
    let mut lines: Vec<_> = in_http.chain(only_in_dns).collect();
    lines.sort_by(|a, b| {
        let key = |line: &Line| {
            (line.instance.host.clone(), line.instance.port, line.instance.id.clone())
        };
        key(a).cmp(&key(b))
    });
    lines
}

fn endpoint(instance: &Instance) -> (&Host, u16) {
    (&instance.host, instance.port)
}

fn verdict(http: &Instance, dns: Option<&Arc<Instance>>) -> Verdict {
    let is_shown = matches!(http.status, Status::Passing | Status::Warning);
    match (is_shown, dns) {
        (true, Some(dns)) if dns.weight() != http.weight() => Verdict::WeightInDns(dns.weight()),
        (true, Some(_)) => Verdict::Same,
        (true, None) => Verdict::NotInDns,
        (false, Some(_)) => Verdict::StillInDns,
        (false, None) => Verdict::LeftOut,
    }
}

#[cfg(test)]
mod tests {
    use discovery::Weights;

    use super::*;

    fn at(port: u16, status: Status) -> Arc<Instance> {
        Arc::new(Instance::at("web", "10.0.0.1".into(), port).status(status))
    }

    #[test]
    fn both_answers_are_compared_by_address() {
        let weights = Weights::new(9, 1);
        let heavy = Arc::new(Instance::at("web", "10.0.0.1".into(), 6).weights(weights));
        let http = [
            at(1, Status::Passing),
            at(2, Status::Critical),
            at(3, Status::Warning),
            at(4, Status::Maintenance),
            heavy,
        ];
        let dns = [1, 4, 5, 6].map(|port| at(port, Status::Passing));
        let verdicts: Vec<_> =
            compare(&http, &dns).iter().map(|line| (line.instance.port, line.verdict)).collect();
        assert_eq!(
            verdicts,
            [
                (1, Verdict::Same),
                (2, Verdict::LeftOut),
                (3, Verdict::NotInDns),
                (4, Verdict::StillInDns),
                (5, Verdict::OnlyInDns),
                (6, Verdict::WeightInDns(1)),
            ]
        );
    }

    #[test]
    fn two_ids_at_one_address_are_two_lines_for_one_dns_record() {
        let mut other = (*at(1, Status::Passing)).clone();
        other.id = "other".into();
        let lines = compare(&[at(1, Status::Passing), Arc::new(other)], &[at(1, Status::Passing)]);
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.verdict == Verdict::Same));
    }
}
