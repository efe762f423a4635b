//! What a read of the catalog asks for besides its path, and what comes back besides its body.

use std::time::Duration;

use http::HeaderMap;

/// Longer than its `wait` plus Consul's sixteenth, a blocking question takes only when something is wrong.
const SLACK: Duration = Duration::from_secs(5);

/// The longest wait that Consul grants: it cuts longer ones down to this, and refuses numbers that it can't read.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Options of a read.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Wait for a change after this index, at most so long, and at most 10 min (Consul adds up to a sixteenth). None: answer at once.
    pub after: Option<(u64, Duration)>,
    /// Any server may answer, so that an answer comes without a leader too.
    pub stale: bool,
    /// The datacenter that is asked; the agent's own where none is named.
    pub datacenter: Option<String>,
}

impl Question {
    /// The index after which a change is waited for, and for how long.
    pub(super) fn waits(&self) -> Option<(u64, Duration)> {
        self.after.map(|(index, wait)| (index, wait.min(WAIT_MAX)))
    }

    /// How long an answer may take; `at_once` for a question that doesn't wait.
    pub(super) fn deadline(&self, at_once: Duration) -> Duration {
        self.waits().map_or(at_once, |(_, wait)| wait + wait / 16 + SLACK)
    }
}

/// A body with what Consul says about it.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// What was asked for.
    pub body: T,
    /// `X-Consul-Index`; none where the header is missing or no number.
    pub index: Option<u64>,
    /// How far the answering server was behind its leader when the question arrived.
    pub last_contact: Duration,
    /// Whether the answering server knew of a leader when the question arrived.
    pub known_leader: bool,
    /// Records of a list that are not in `body`, since they can't be read.
    pub left_out: Vec<LeftOut>,
}

/// A record of an answer that can't be used, and why: the others are used without it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Its node; empty where the answer does not say (DNS).
    pub node: String,
    /// Its id; in DNS its target and port.
    pub id: String,
    /// What is wrong with it.
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
    pub(super) fn new(body: T, left_out: Vec<LeftOut>, headers: &HeaderMap) -> Self {
        use consul_wire::header;
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| text(name).and_then(|value| value.parse::<u64>().ok());
        Self {
            body,
            index: number(header::INDEX),
            last_contact: Duration::from_millis(number(header::LAST_CONTACT).unwrap_or(0)),
            known_leader: text(header::KNOWN_LEADER) == Some("true"),
            left_out,
        }
    }
}
