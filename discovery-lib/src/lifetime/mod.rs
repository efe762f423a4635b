//! The lifetime of a background task: while a handle exists, and for a linger time after that.
//!
//! `lease` decides and is pure, `room` decides what is removed above a limit, `background` is the task. A task that ended, because its lease or
//! its runtime ended, is started again by the next use.

mod background;
mod lease;
mod room;

pub(crate) use background::{Background, Hold, Work};
pub(crate) use lease::LINGER;
pub(crate) use room::{Usage, make_room};
