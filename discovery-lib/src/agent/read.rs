//! The options of a catalog read, and its answer.

use std::{sync::Arc, time::Duration};

use super::transport::Reply;
use crate::Consistency;

/// A blocking query takes longer than its `wait` plus Consul's sixteenth and this only when something is wrong.
const SLACK: Duration = Duration::from_secs(5);

/// The longest wait that Consul grants: it truncates longer ones to this, and refuses numbers that it can't parse.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Options of a read that is not about the instances of one service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Wait for a change after this index, at most this long, and at most 10 min (Consul adds up to a sixteenth). None: answer at once.
    pub after: Option<(u64, Duration)>,
    /// Which server answers.
    pub consistency: Consistency,
    /// The datacenter of the read. None: the agent's own.
    pub datacenter: Option<Arc<str>>,
}

impl ReadOptions {
    /// Answered at once, by any server of the agent's own datacenter.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for a change.
    #[must_use]
    pub fn after(mut self, index: u64, wait: Duration) -> Self {
        self.after = Some((index, wait));
        self
    }

    /// Answered by this server.
    #[must_use]
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// In this datacenter.
    #[must_use]
    pub fn datacenter(mut self, datacenter: impl Into<Arc<str>>) -> Self {
        self.datacenter = Some(datacenter.into());
        self
    }

    /// The index after which a change is waited for, and for how long.
    pub(super) fn waits(&self) -> Option<(u64, Duration)> {
        self.after.map(|(index, wait)| (index, wait.min(WAIT_MAX)))
    }

    /// How long an answer may take; `at_once` if it doesn't wait.
    pub(super) fn deadline(&self, at_once: Duration) -> Duration {
        self.waits().map_or(at_once, |(_, wait)| wait + wait / 16 + SLACK)
    }
}

/// A body with Consul's headers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer<T> {
    /// The records.
    pub body: T,
    /// `X-Consul-Index`; none if the header is missing or not a number.
    pub index: Option<u64>,
    /// How far the answering server was behind its leader when the query arrived. From the cache of the agent, also how long that has had no
    /// contact with a server.
    pub last_contact: Duration,
    /// Whether the answering server knew of a leader when the query arrived.
    pub known_leader: bool,
    /// Records that are not in `body`, since they can't be parsed or are of another service.
    pub left_out: Vec<LeftOut>,
    /// Whether ACLs hide further records from the token of this client. Consul says so from 1.11 on; an older one hides them silently.
    pub is_filtered_by_acls: bool,
}

/// A record of an answer that can't be used, and why. The others are used without it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct LeftOut {
    /// Its node; empty if the answer has none (DNS).
    pub node: String,
    /// Its id; in DNS its target and port.
    pub id: String,
    /// The reason for which it can't be used.
    pub why: String,
}

impl LeftOut {
    pub(crate) fn new(
        node: impl Into<String>,
        id: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        Self { node: node.into(), id: id.into(), why: why.into() }
    }
}

impl<T> Answer<T> {
    pub(super) fn new(body: T, left_out: Vec<LeftOut>, reply: &Reply) -> Self {
        use consul_wire::header;
        let text = |name: &str| reply.headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| text(name).and_then(|value| value.parse::<u64>().ok());
        Self {
            body,
            index: number(header::INDEX),
            last_contact: Duration::from_millis(number(header::LAST_CONTACT).unwrap_or(0))
                .saturating_add(Duration::from_secs(
                    number(http::header::AGE.as_str()).unwrap_or(0),
                )),
            known_leader: text(header::KNOWN_LEADER) == Some("true"),
            left_out,
            is_filtered_by_acls: reply.is_filtered_by_acls(),
        }
    }
}
