//! One finding: what is wrong, how that is known, what to do.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// It does not work.
    Fault,
    /// It works, except for a kind of client that this machine may not have.
    Hint,
}

/// One finding. Its texts may have control characters from other programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// A constant word per kind of finding, for programs.
    pub(crate) kind: &'static str,
    pub(crate) level: Level,
    /// What is wrong: a sentence.
    pub(crate) what: String,
    /// What was seen.
    pub(crate) evidence: Vec<String>,
    /// What to do: a sentence.
    pub(crate) remedy: String,
}

impl Finding {
    pub(crate) fn fault(
        kind: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (what, remedy) = (what.into(), remedy.into());
        Self { kind, level: Level::Fault, what, evidence: Vec::new(), remedy }
    }

    pub(crate) fn hint(
        kind: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level: Level::Hint, ..Self::fault(kind, what, remedy) }
    }

    pub(crate) fn is_fault(&self) -> bool {
        self.level == Level::Fault
    }

    pub(crate) fn seen(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }
}
