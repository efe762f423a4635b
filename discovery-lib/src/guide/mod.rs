//! Pages for those who run programs with this crate, and for those who come from another one.

#[doc = include_str!("what_it_does.md")]
pub mod what_it_does {}

#[doc = include_str!("how_it_fails.md")]
pub mod how_it_fails {}

#[doc = include_str!("coming_from.md")]
pub mod coming_from {}
