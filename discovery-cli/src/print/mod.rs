//! Output on the terminal: tables, colours, times. Independent of Consul.

mod clock;
mod json;
mod output;
mod paint;
mod table;

pub(crate) use clock::time_of_day;
pub(crate) use json::{json_line, printable_value};
pub(crate) use output::{write_stderr, write_stdout};
pub(crate) use paint::{Paint, Tone};
pub(crate) use table::Table;
