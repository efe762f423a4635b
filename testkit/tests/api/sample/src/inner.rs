//! A private module, whose public items are reached by re-exports.

use crate::Kind;

/// A module, private, and a function of one name: the function is re-exported.
mod both {}

pub fn both() {}

#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Renamed {
    /// Documentation.
    pub shown: Kind,
    hidden: u8,
}

impl Renamed {
    pub fn second(&self) {}
    fn hidden(&self) {}
}

impl Renamed {
    #[must_use]
    pub const fn first(self) -> Self {
        self
    }
}

pub trait Private {}

pub struct Unreachable;
