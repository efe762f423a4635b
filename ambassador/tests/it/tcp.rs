//! TCP routes, with real clients and instances.

mod change;
mod choice;
mod drain;
mod limits;
mod relay;
pub(crate) mod world;
