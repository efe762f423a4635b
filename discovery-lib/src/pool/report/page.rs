//! The page of a report: first where the next call goes, then how fresh that is, then each instance.

use std::{
    fmt::{self, Display, Formatter},
    time::Duration,
};

use super::{Check, Freshness, Line, Report};
use crate::Rank;

impl Display for Report {
    /// Several lines, each with a newline. Texts from Consul are unchanged: a program that prints them on a terminal escapes control characters.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.service, self.headline())?;
        match &self.snapshot {
            Some(freshness) => writeln!(f, "{freshness}")?,
            None => writeln!(f, "There was no answer yet.")?,
        }
        if self.snapshot.as_ref().is_some_and(|it| it.filtered_by_acls) {
            writeln!(
                f,
                "ACLs hide further instances: the token may not read them or their nodes."
            )?;
        }
        if let Some(failure) = &self.failure {
            writeln!(f, "The last query failed: {failure}")?;
        }
        section(f, "Picked from, best first:", self.members())?;
        section(f, "Never picked:", self.instances.iter().filter(|it| it.rank.is_none()))?;
        let unusable =
            self.left_out.iter().map(|it| format!("{}: {}\n", place(&it.id, &it.node), it.why));
        section(f, "Left out, because the record can't be used:", unusable)
    }
}

impl Report {
    fn members(&self) -> impl Iterator<Item = &Line> {
        self.instances.iter().filter(|it| it.rank.is_some())
    }

    /// Where the next call goes.
    fn headline(&self) -> String {
        let Some(best) = self.members().filter_map(|it| it.rank).min() else {
            return self.nowhere();
        };
        let count = self.members().filter(|it| it.rank == Some(best)).count();
        let one_of = |which: &str| match count {
            1 => format!("the next call goes to its only {which} instance"),
            _ => format!("the next call goes to one of {count} {which} instances"),
        };
        match best {
            Rank::Passing => one_of("passing"),
            Rank::Warning => format!("{}: none is passing", one_of("warning")),
            Rank::Spare => format!("{}: there is no other", one_of("weight 0")),
            Rank::Ejected => {
                format!("{}: all are ejected, so none is left out", one_of("ejected"))
            }
            Rank::Reserve => {
                format!("{}: Consul has no healthy instance", one_of("recently healthy"))
            }
        }
    }

    fn nowhere(&self) -> String {
        let why = match (&self.snapshot, self.instances.len()) {
            (None, _) => "no answer yet".to_owned(),
            (Some(_), 0) if self.left_out.is_empty() => "there is no instance".to_owned(),
            (Some(_), 0) => "no record can be used".to_owned(),
            (Some(_), 1) => "its only instance is critical or in maintenance".to_owned(),
            (Some(_), count) => format!("all {count} instances are critical or in maintenance"),
        };
        format!("the next call fails: {why}")
    }
}

/// A heading and its entries, indented; nothing without entries.
fn section(
    f: &mut Formatter<'_>,
    heading: &str,
    entries: impl IntoIterator<Item = impl Display>,
) -> fmt::Result {
    let mut entries = entries.into_iter().peekable();
    if entries.peek().is_some() {
        writeln!(f, "\n{heading}")?;
    }
    for entry in entries {
        for line in entry.to_string().lines() {
            writeln!(f, "  {line}")?;
        }
    }
    Ok(())
}

impl Display for Freshness {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let source = match self.origin.as_str() {
            "catalog" => "Consul's HTTP catalog",
            "preparedquery" => "a prepared query",
            "dns" => "Consul's DNS",
            "disk" => {
                let age = span(self.age_ms);
                return write!(f, "From disk, {age} old: Consul has not answered since the start.");
            }
            "fixed" => return f.write_str("From the settings: a fixed list of addresses."),
            other => other,
        };
        write!(f, "From {source}, {} old", span(self.age_ms))?;
        if self.index > 0 {
            write!(f, ", index {}", self.index)?;
        }
        f.write_str(".")
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if self.id != self.address {
            write!(f, "  {}", place(&self.id, &self.node))?;
        }
        writeln!(f, "\n  {}", self.standing())?;
        if let (Some(since), Some(left)) = (self.ejected_since_ms, self.ejected_for_ms) {
            let because = self.ejected_because.as_deref().unwrap_or("no reason given");
            let next = match left {
                0 => "a call may test it now".to_owned(),
                _ => format!("tested again in {}", span(left)),
            };
            writeln!(f, "  ejected {} ago: {because}; {next}", span(since))?;
        }
        if let Some(left) = self.reserve_for_ms {
            writeln!(
                f,
                "  kept as a reserve for {}, since it vanished or turned critical",
                span(left)
            )?;
        }
        self.checks.iter().try_for_each(|check| writeln!(f, "  {check}"))
    }
}

impl Line {
    /// Its status and its measurements.
    fn standing(&self) -> String {
        let Self { status, weight, .. } = self;
        let Some(in_flight) = self.in_flight else { return status.clone() };
        let latency = match self.latency_ms {
            Some(latency) => format!("latency {latency:.1} ms"),
            None => "not measured yet".to_owned(),
        };
        format!("{status}, weight {weight}, {latency}, {in_flight} in flight")
    }
}

impl Display for Check {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, status, output } = self;
        match output.as_str() {
            "" => write!(f, "check {name}: {status}, without output"),
            _ => write!(f, "check {name}: {status}: {output}"),
        }
    }
}

fn place(id: &str, node: &str) -> String {
    if node.is_empty() { id.to_owned() } else { format!("{id}@{node}") }
}

/// As `12 ms`, `3.4 s`, `5 min`, `3 h` or `6 days`.
fn span(millis: u64) -> String {
    let span = Duration::from_millis(millis);
    match span.as_secs() {
        0 => format!("{millis} ms"),
        1..120 => format!("{:.1} s", span.as_secs_f64()),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
