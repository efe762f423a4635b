//! The checks of an instance: their ids, what is registered, and how those at the agent differ from it.
//!
//! Consul keeps a check that a new registration does not contain. With `replace-existing-checks` it removes all others, also those that an
//! operator added, maintenance among them. So a registration keeps what is there, and checks of an earlier run are deregistered one by one.
//! Source: <https://developer.hashicorp.com/consul/api-docs/agent/service#register-service>.

use std::{fmt, time::Duration};

use consul_wire::{
    agent::CheckRegistration,
    check::{CheckStatus, SERVICE_MAINTENANCE_PREFIX},
};

use super::{Check, machine::HEARTBEAT_EVERY};
use crate::{ServiceId, agent::CheckAtAgent};

/// The reason for the maintenance of an instance that shuts down.
pub(super) const LEAVING_REASON: &str = "shutting down";

/// The checks of a registration. A TTL check is the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checks(Vec<Check>);

/// How the checks at the agent differ from the registered ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Differences {
    /// Whether a registered check is not there.
    pub(super) is_incomplete: bool,
    /// The ids of checks of an earlier run.
    pub(super) surplus: Vec<String>,
    /// Whether an earlier run ended during its shutdown, and left the instance in maintenance.
    pub(super) is_left_in_maintenance: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self(vec![Check::default()])
    }
}

impl FromIterator<Check> for Checks {
    fn from_iter<I: IntoIterator<Item = Check>>(checks: I) -> Self {
        let mut checks: Vec<_> = checks.into_iter().collect();
        checks.sort_by_key(|check| *check != Check::Ttl);
        Self(checks)
    }
}

impl Checks {
    pub(super) fn as_slice(&self) -> &[Check] {
        &self.0
    }

    /// The interval of the heartbeats; none without a TTL check.
    pub(super) fn heartbeat_every(&self) -> Option<Duration> {
        self.0.contains(&Check::Ttl).then_some(HEARTBEAT_EVERY)
    }

    /// The body of each for an instance that the agent reaches at `address`. Passing from the start: a probe succeeded, and a check that starts
    /// as critical would hide the instance until the first heartbeat or poll.
    pub(super) fn registrations(
        &self,
        id: &ServiceId,
        address: impl fmt::Display,
        deregister_after: Option<Duration>,
    ) -> Vec<CheckRegistration> {
        let registration = |(check_id, check): (String, &Check)| {
            let schedule = check.schedule().unwrap_or_default();
            let threshold = |results: u16| (results > 1).then_some(results);
            Some(CheckRegistration {
                check_id,
                name: check.to_string(),
                definition: check.definition(&address)?,
                status: CheckStatus::Passing,
                deregister_critical_service_after: deregister_after
                    .map(|after| format!("{}ms", after.as_millis())),
                success_before_passing: threshold(schedule.success_before_passing),
                failures_before_critical: threshold(schedule.failures_before_critical),
            })
        };
        self.with_ids(id).filter_map(registration).collect()
    }

    /// How those that the agent has for the instance differ.
    pub(super) fn differences(&self, id: &ServiceId, found: &[CheckAtAgent]) -> Differences {
        let registered = self.with_ids(id).filter(|(_, check)| **check != Check::None);
        let own: Vec<_> = registered.map(|(check_id, _)| check_id).collect();
        let of_it = || found.iter().filter(|check| check.service_id == id.as_str());
        let has = |check_id: &String| of_it().any(|check| check.id == *check_id);
        let surplus =
            of_it().filter(|check| is_numbered(&check.id, id) && !own.contains(&check.id));
        Differences {
            is_incomplete: !own.iter().all(has),
            surplus: surplus.map(|check| check.id.clone()).collect(),
            is_left_in_maintenance: of_it().any(|check| {
                check.id.starts_with(SERVICE_MAINTENANCE_PREFIX) && check.notes == LEAVING_REASON
            }),
        }
    }

    fn with_ids(&self, id: &ServiceId) -> impl Iterator<Item = (String, &Check)> {
        self.0.iter().enumerate().map(|(at, check)| match at {
            0 => (first_id(id), check),
            _ => (format!("{}:{}", first_id(id), at + 1), check),
        })
    }
}

/// The id of the first check, which is the TTL check if there is one.
pub(super) fn first_id(id: &ServiceId) -> String {
    format!("service:{id}")
}

/// Whether this is an id that a check of the instance may have had in another run.
fn is_numbered(check_id: &str, id: &ServiceId) -> bool {
    let Some(rest) = check_id.strip_prefix(&first_id(id)) else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    rest.is_empty() || rest.strip_prefix(':').is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registration::CheckSchedule;

    fn tcp() -> Check {
        Check::tcp(CheckSchedule::new())
    }

    fn http(path: &str) -> Check {
        Check::http(path, CheckSchedule::new())
    }

    fn checks(checks: impl IntoIterator<Item = Check>) -> Checks {
        checks.into_iter().collect()
    }

    fn at_agent(check_id: &str, service_id: &str, notes: &str) -> CheckAtAgent {
        CheckAtAgent {
            id: check_id.into(),
            service_id: service_id.into(),
            notes: notes.into(),
            ..CheckAtAgent::default()
        }
    }

    #[test]
    fn each_check_has_its_own_id_and_the_ttl_check_is_the_first() {
        for (list, expected) in [
            (vec![Check::Ttl], &["service:web-1 TTL heartbeat, every 5 s"] as &[_]),
            (vec![tcp()], &["service:web-1 TCP check, every 5s"]),
            (vec![Check::None], &[]),
            (
                vec![http("/health"), Check::Ttl, tcp()],
                &[
                    "service:web-1 TTL heartbeat, every 5 s",
                    "service:web-1:2 HTTP check, every 5s",
                    "service:web-1:3 TCP check, every 5s",
                ],
            ),
            (
                vec![tcp(), http("/health")],
                &["service:web-1 TCP check, every 5s", "service:web-1:2 HTTP check, every 5s"],
            ),
        ] {
            let bodies = checks(list).registrations(&"web-1".into(), "web:80", None);
            let shown: Vec<_> =
                bodies.iter().map(|body| format!("{} {}", body.check_id, body.name)).collect();
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn thresholds_and_the_deregistration_are_registered_if_set() {
        let schedule = CheckSchedule::new().success_before_passing(2).failures_before_critical(3);
        let list = checks([Check::Ttl, Check::tcp(schedule)]);
        let after = Some(Duration::from_secs(90));
        let bodies = list.registrations(&"web-1".into(), "web:80", after);
        assert_eq!(
            serde_json::to_value(bodies).unwrap(),
            json!([
                {
                    "CheckID": "service:web-1", "Name": "TTL heartbeat, every 5 s", "TTL": "15s",
                    "Status": "passing", "DeregisterCriticalServiceAfter": "90000ms",
                },
                {
                    "CheckID": "service:web-1:2", "Name": "TCP check, every 5s", "TCP": "web:80",
                    "Interval": "5000ms", "Timeout": "1000ms", "Status": "passing",
                    "SuccessBeforePassing": 2, "FailuresBeforeCritical": 3,
                    "DeregisterCriticalServiceAfter": "90000ms",
                },
            ])
        );
    }

    #[test]
    fn only_a_ttl_check_has_heartbeats() {
        let every = |list: &[Check]| checks(list.to_vec()).heartbeat_every();
        assert_eq!(every(&[tcp(), Check::Ttl]), Some(HEARTBEAT_EVERY));
        assert_eq!(every(&[tcp(), http("/")]), None);
        assert_eq!(every(&[Check::None]), None);
    }

    #[test]
    fn checks_of_an_earlier_run_are_surplus_and_those_of_others_are_not() {
        let of_it = |check_id: &str| at_agent(check_id, "web-1", "");
        let list = checks([Check::Ttl, tcp()]);
        for (found, surplus, is_incomplete) in [
            (vec![of_it("service:web-1"), of_it("service:web-1:2")], &[] as &[&str], false),
            (vec![of_it("service:web-1")], &[], true),
            (vec![], &[], true),
            // Of another instance.
            (vec![of_it("service:web-1"), at_agent("service:web-1:2", "web-2", "")], &[], true),
            (
                vec![
                    of_it("service:web-1:3"),
                    of_it("service:web-1"),
                    of_it("service:web-1:2"),
                    of_it("service:web-1:10"),
                ],
                &["service:web-1:3", "service:web-1:10"],
                false,
            ),
            (
                vec![
                    of_it("service:web-1"),
                    of_it("service:web-1:2"),
                    of_it("service:web-1:"),
                    of_it("service:web-1:disk"),
                    of_it("service:web-12"),
                    of_it("disk space"),
                    of_it("_service_maintenance:web-1"),
                    at_agent("serfHealth", "", ""),
                ],
                &[],
                false,
            ),
        ] {
            let expected = Differences {
                is_incomplete,
                surplus: surplus.iter().map(|&it| it.to_owned()).collect(),
                is_left_in_maintenance: false,
            };
            assert_eq!(list.differences(&"web-1".into(), &found), expected, "{found:?}");
        }
        let found = [of_it("service:web-1")];
        assert_eq!(
            checks([Check::None]).differences(&"web-1".into(), &found).surplus,
            ["service:web-1"]
        );
    }

    #[test]
    fn maintenance_of_a_shutdown_is_left_over_and_that_of_an_operator_is_not() {
        for (check_id, service_id, notes, expected) in [
            ("_service_maintenance:web-1", "web-1", "shutting down", true),
            ("_service_maintenance:web-1", "web-1", "new disk", false),
            ("_service_maintenance:web-2", "web-2", "shutting down", false),
            ("_node_maintenance", "", "shutting down", false),
            ("mine", "web-1", "shutting down", false),
        ] {
            let found = [at_agent(check_id, service_id, notes)];
            let differences = Checks::default().differences(&"web-1".into(), &found);
            assert_eq!(differences.is_left_in_maintenance, expected, "{check_id} {notes}");
        }
    }
}
