//! The bounds of checks.

use std::{ops::RangeInclusive, time::Duration};

use http::Uri;

use super::id;
use crate::{
    agent::is_host,
    registration::{Check, CheckSchedule, Registration},
};

/// Checks of an instance. Each is a part of all health answers about it.
const CHECKS_MAX: usize = 8;
/// The interval of a polled check. Consul raises a shorter one; two polls must fail within the minute after which an agent deregisters.
const INTERVAL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30);
/// The shortest timeout of a poll.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
/// Results in a row. At the longest interval, the most take 50 minutes.
const THRESHOLD: RangeInclusive<u16> = 1..=100;
/// The time in critical until a deregistration. Consul raises a shorter one to a minute.
const DEREGISTER_AFTER: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 60 * 60);
/// The name of a gRPC service, in bytes.
const NAME_OF_GRPC_MAX: usize = 255;
/// The target of a check, in bytes.
const TARGET_MAX: usize = 2048;

/// What is out of bounds, and the bound.
pub(super) fn problem(registration: &Registration) -> Option<String> {
    let checks = registration.checks.as_slice();
    together(checks)
        .or_else(|| checks.iter().find_map(|check| one(check, registration)))
        .or_else(|| registration.deregister_after.and_then(deregister_after))
}

fn together(checks: &[Check]) -> Option<String> {
    let count = checks.len();
    if count == 0 {
        return Some("its list of checks is empty: for no check, use Check::None".to_owned());
    }
    if count > CHECKS_MAX {
        return Some(format!("it has {count} checks; the limit is {CHECKS_MAX}"));
    }
    if checks.iter().filter(|check| **check == Check::Ttl).count() > 1 {
        return Some(
            "it has more than one TTL check: a program has one status, so one is enough".to_owned(),
        );
    }
    (count > 1 && checks.contains(&Check::None))
        .then(|| "it has Check::None beside other checks: leave it out".to_owned())
}

fn one(check: &Check, registration: &Registration) -> Option<String> {
    if let Some(problem) = check.schedule().and_then(schedule) {
        return Some(problem);
    }
    match check {
        Check::Http { target, .. } => (!is_target(target)).then(|| {
            format!(
                "its check has the target {target:?}: it must be an absolute path or an http or https URL, of up to {TARGET_MAX} bytes"
            )
        }),
        Check::Grpc { service, .. } => (service.len() > NAME_OF_GRPC_MAX
            || !service.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')))
        .then(|| {
            format!(
                "its check has the gRPC service {service:?}: it must have up to {NAME_OF_GRPC_MAX} letters, digits, '.', '_' and '-'"
            )
        }),
        Check::Alias { service } if *service == registration.service_id() => {
            Some("its check is an alias of itself".to_owned())
        }
        Check::Alias { service } => id(service.as_str()).map(|why| format!("its check: {why}")),
        Check::AliasNode { node } => (!is_host(node)).then(|| {
            format!("its check has the node {node:?}: it must be a host name")
        }),
        Check::Ttl | Check::Tcp { .. } | Check::None => None,
    }
}

fn schedule(schedule: CheckSchedule) -> Option<String> {
    let CheckSchedule { interval, timeout, success_before_passing, failures_before_critical } =
        schedule;
    if !INTERVAL.contains(&interval) {
        return Some(format!("its check has an interval of {interval:?}: it must be 1 s to 30 s"));
    }
    if !(TIMEOUT_MIN..=interval).contains(&timeout) {
        return Some(format!(
            "its check has a timeout of {timeout:?}: it must be 10 ms up to the interval, {interval:?}"
        ));
    }
    let thresholds = [
        ("success_before_passing", success_before_passing),
        ("failures_before_critical", failures_before_critical),
    ];
    let (name, results) = thresholds.into_iter().find(|(_, it)| !THRESHOLD.contains(it))?;
    Some(format!("its check has {name} of {results}: it must be 1 to 100"))
}

fn deregister_after(after: Duration) -> Option<String> {
    (!DEREGISTER_AFTER.contains(&after)).then(|| {
        format!(
            "it is to be deregistered after {after:?} in critical: it must be 1 minute to 30 days"
        )
    })
}

fn is_target(target: &str) -> bool {
    let Ok(uri) = target.parse::<Uri>() else { return false };
    let is_url = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    target.len() <= TARGET_MAX && (target.starts_with('/') || is_url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web() -> Registration {
        Registration::new("web", "127.0.0.1:80".parse().unwrap()).id("web-1")
    }

    #[track_caller]
    fn refused(registration: &Registration, expected: Option<&str>) {
        assert_eq!(problem(registration).as_deref(), expected);
    }

    #[test]
    fn a_check_is_within_its_bounds() {
        let every = |interval, timeout| {
            let new = CheckSchedule::new().interval(Duration::from_millis(interval));
            Check::tcp(new.timeout(Duration::from_millis(timeout)))
        };
        let http = |target: &str| Check::http(target, CheckSchedule::new());
        let grpc = |service: &str| Check::grpc(service, CheckSchedule::new());
        for (check, expected) in [
            (Check::Ttl, true),
            (Check::None, true),
            (every(1000, 10), true),
            (every(30_000, 30_000), true),
            (every(999, 10), false),
            (every(30_001, 10), false),
            (every(1000, 9), false),
            (every(1000, 1001), false),
            (http("/"), true),
            (http("/health?full=1"), true),
            (http("http://10.0.0.1:81/health"), true),
            (http("https://web.example/health"), true),
            (http(&format!("/{}", "p".repeat(TARGET_MAX - 1))), true),
            (http(&format!("/{}", "p".repeat(TARGET_MAX))), false),
            (http(""), false),
            (http("health"), false),
            (http("/a b"), false),
            (http("ftp://web/health"), false),
            (grpc(""), true),
            (grpc("pkg.Health_1"), true),
            (grpc("a/b"), false),
            (grpc(&"s".repeat(NAME_OF_GRPC_MAX + 1)), false),
            (Check::alias("db-1"), true),
            (Check::alias("web-1"), false),
            (Check::alias(""), false),
            (Check::alias_node("node-1"), true),
            (Check::alias_node(""), false),
            (Check::alias_node("a b"), false),
        ] {
            let problem = problem(&web().check(check.clone()));
            assert_eq!(problem.is_none(), expected, "{check:?}: {problem:?}");
            // Also as one of several.
            if check != Check::None {
                let several = web().checks([http("/"), check.clone()]);
                assert_eq!(super::problem(&several), problem, "{check:?}");
            }
        }
    }

    #[test]
    fn the_error_names_the_bounds_of_a_check() {
        let new = CheckSchedule::new;
        for (schedule, expected) in [
            (
                new().interval(Duration::from_millis(500)),
                Some("its check has an interval of 500ms: it must be 1 s to 30 s"),
            ),
            (
                new().success_before_passing(0),
                Some("its check has success_before_passing of 0: it must be 1 to 100"),
            ),
            (
                new().failures_before_critical(101),
                Some("its check has failures_before_critical of 101: it must be 1 to 100"),
            ),
            (new().success_before_passing(100).failures_before_critical(100), None),
        ] {
            refused(&web().check(Check::tcp(schedule)), expected);
        }
    }

    #[test]
    fn checks_are_a_few_with_at_most_one_ttl() {
        let tcp = || Check::tcp(CheckSchedule::new());
        for (checks, expected) in [
            (vec![Check::Ttl, tcp(), tcp()], None),
            (vec![tcp(); CHECKS_MAX], None),
            (vec![tcp(); CHECKS_MAX + 1], Some("it has 9 checks; the limit is 8")),
            (vec![], Some("its list of checks is empty: for no check, use Check::None")),
            (
                vec![Check::Ttl, tcp(), Check::Ttl],
                Some("it has more than one TTL check: a program has one status, so one is enough"),
            ),
            (
                vec![tcp(), Check::None],
                Some("it has Check::None beside other checks: leave it out"),
            ),
        ] {
            refused(&web().checks(checks), expected);
        }
    }

    #[test]
    fn a_deregistration_is_after_a_minute_or_later() {
        let text = |after: &str| {
            format!(
                "it is to be deregistered after {after} in critical: it must be 1 minute to 30 days"
            )
        };
        for (seconds, expected) in [
            (60, None),
            (30 * 24 * 60 * 60, None),
            (59, Some(text("59s"))),
            (30 * 24 * 60 * 60 + 1, Some(text("2592001s"))),
        ] {
            let registration = web().deregister_critical_after(Duration::from_secs(seconds));
            refused(&registration, expected.as_deref());
        }
    }
}
