//! A sample for the API listing. It is parsed, never compiled.

mod inner;
#[cfg(feature = "open")]
pub mod open;
#[cfg(test)]
mod tests;

pub use inner::{Renamed as Known, both};
pub use open::Deep;
pub use std::time::Duration;

/// Hidden from the listing: documentation and bodies.
#[must_use]
pub fn free(value: u32) -> u32 {
    value + 1
}

pub(crate) fn private() {}

pub const LIMIT: usize = 64;

pub enum Kind {
    One,
    Two { value: u8 },
}

impl From<u8> for Kind {
    fn from(_: u8) -> Self {
        Self::One
    }
}

impl inner::Private for Kind {}
