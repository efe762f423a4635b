//! What is measured: one row per protocol, placement, kind and number of connections.

use std::fmt;

use crate::{
    backend::{BULK, Exchange},
    cores::Placement,
    load::Lifetime,
    report::{Summary, grouped},
};

/// Kept connections, each with one call at a time.
const KEPT: [usize; 3] = [1, 16, 64];
/// New connections at once, each with one call.
const NEW: usize = 16;
/// Connections that transfer large answers.
const STREAMS: [usize; 2] = [1, 8];
/// Connections that are measured while they are idle.
const IDLE: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Kept,
    New,
    Bulk,
    Memory,
}

/// One line of the output. Its name is its `Display`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) protocol: Protocol,
    pub(crate) placement: Placement,
    pub(crate) kind: Kind,
    pub(crate) count: usize,
}

/// The rows whose names contain one of these words; without words, all.
///
/// # Errors
/// A word is in no name.
pub(crate) fn chosen(words: &[String]) -> Result<Vec<Row>, String> {
    let all = all();
    let is_named = |row: &Row, word: &String| row.to_string().contains(word.as_str());
    if let Some(word) = words.iter().find(|word| !all.iter().any(|row| is_named(row, word))) {
        let names: Vec<String> = all.iter().map(Row::to_string).collect();
        return Err(format!("no row has {word:?} in its name: expected {}", names.join("; ")));
    }
    let is_chosen = |row: &Row| words.is_empty() || words.iter().any(|word| is_named(row, word));
    Ok(all.into_iter().filter(is_chosen).collect())
}

fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    for placement in Placement::ALL {
        for protocol in [Protocol::Tcp, Protocol::Http] {
            let row = |kind, count| Row { protocol, placement, kind, count };
            rows.extend(KEPT.map(|count| row(Kind::Kept, count)));
            rows.push(row(Kind::New, NEW));
            rows.extend(STREAMS.map(|count| row(Kind::Bulk, count)));
        }
    }
    rows.extend([Protocol::Tcp, Protocol::Http].map(|protocol| Row {
        protocol,
        placement: Placement::Free,
        kind: Kind::Memory,
        count: IDLE,
    }));
    rows
}

impl Row {
    pub(crate) fn exchange(&self) -> Exchange {
        match (self.protocol, self.kind) {
            (Protocol::Tcp, Kind::Bulk) => Exchange::Bulk,
            (Protocol::Tcp, _) => Exchange::Echo,
            (Protocol::Http, Kind::Bulk) => Exchange::GetBulk,
            (Protocol::Http, _) => Exchange::Get,
        }
    }

    pub(crate) fn lifetime(&self) -> Lifetime {
        match self.kind {
            Kind::New => Lifetime::OneCall,
            Kind::Kept | Kind::Bulk | Kind::Memory => Lifetime::Kept,
        }
    }

    /// The measurements of one proxy.
    pub(crate) fn text(&self, summary: &Summary) -> String {
        let (rate, cpu) = (summary.rate(), summary.cpu_per_call().as_secs_f64() * 1e6);
        let p99 = summary.p99().as_secs_f64() * 1e3;
        if self.kind == Kind::Bulk {
            let (rate, cpu) = (rate * BULK as f64 / 1e9, cpu / (BULK as f64 / 1e6));
            return format!("{rate:.2} GB/s p99 {p99:.1} ms {cpu:.0} us CPU/MB");
        }
        format!("{}/s p99 {p99:.2} ms {cpu:.1} us CPU", grouped(rate))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { placement, count, .. } = self;
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Http => "http",
        };
        let plural = if *count == 1 { "" } else { "s" };
        match self.kind {
            Kind::Kept => write!(f, "{protocol}, {placement}, {count} connection{plural}"),
            Kind::New => write!(f, "{protocol} new connections, {placement}, {count} at once"),
            Kind::Bulk => write!(f, "{protocol} bulk, {placement}, {count} stream{plural}"),
            Kind::Memory => {
                write!(f, "{protocol} memory, {} idle connections", grouped(*count as f64))
            }
        }
    }
}
