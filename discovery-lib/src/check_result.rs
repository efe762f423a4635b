//! The result of one check, as Consul last reported it: plain data that explains the status of an instance.

use consul_wire::check::{CheckStatus, HealthCheck, NODE_MAINTENANCE, SERVICE_MAINTENANCE_PREFIX};

use crate::Status;

/// The longest output that is kept, in characters. Consul keeps up to 4 KiB per check.
const OUTPUT_MAX: usize = 160;

/// The result of one check of an instance or of its node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckResult {
    /// Its name, such as `Serf Health Status`.
    pub name: String,
    /// Its status; maintenance mode is a check too.
    pub status: Status,
    /// Its output on one line, at most 160 characters; for maintenance the reason. Empty if it never ran.
    pub output: String,
}

impl CheckResult {
    pub(crate) fn new(check: HealthCheck) -> Self {
        let status = status(&check);
        // Consul has the reason of a maintenance in the notes.
        let output = if status == Status::Maintenance { &check.notes } else { &check.output };
        Self { output: shorten(output), name: check.name, status }
    }
}

/// Maintenance is a critical check with a reserved id.
fn status(check: &HealthCheck) -> Status {
    match check.status {
        CheckStatus::Critical if is_maintenance(&check.check_id) => Status::Maintenance,
        CheckStatus::Critical => Status::Critical,
        CheckStatus::Warning => Status::Warning,
        CheckStatus::Passing => Status::Passing,
    }
}

fn is_maintenance(check_id: &str) -> bool {
    check_id == NODE_MAINTENANCE || check_id.starts_with(SERVICE_MAINTENANCE_PREFIX)
}

/// The first words, on one line.
fn shorten(output: &str) -> String {
    let line = output.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.chars().nth(OUTPUT_MAX) {
        Some(_) => line.chars().take(OUTPUT_MAX - 3).chain("...".chars()).collect(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_one_line_of_limited_length() {
        for (output, kept) in [
            ("", String::new()),
            ("200 OK\nOutput:  well\n", "200 OK Output: well".to_owned()),
            (&"x".repeat(160), "x".repeat(160)),
            (&"x".repeat(161), "x".repeat(157) + "..."),
        ] {
            assert_eq!(shorten(output), kept);
        }
    }
}
