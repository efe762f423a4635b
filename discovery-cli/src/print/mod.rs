//! Output on the terminal: tables, colours, times. Independent of Consul.

mod clock;
mod json;
mod paint;
mod say;
mod table;

pub(crate) use clock::time_of_day;
pub(crate) use json::json_line;
pub(crate) use paint::{Paint, Tone};
pub(crate) use say::{complain, say};
pub(crate) use table::Table;
