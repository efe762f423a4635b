//! Enum variants as words in `/explain` and `/metrics`.

use std::fmt::Debug;

/// A variant without fields in lower case: `Ready` is `ready`.
pub(super) fn word(variant: impl Debug) -> String {
    format!("{variant:?}").to_lowercase()
}
