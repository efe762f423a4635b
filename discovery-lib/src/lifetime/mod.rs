//! How long a background task lives: while something holds it, and a while longer.
//!
//! `lease` decides and is pure, `room` decides what makes room for what, `background` is the task. A task that ended, because its lease or
//! its runtime ended, is started again by the next use.

mod background;
mod lease;
mod room;

pub(crate) use background::{Background, Hold};
pub(crate) use lease::LINGER;
pub(crate) use room::{Standing, make_room};
