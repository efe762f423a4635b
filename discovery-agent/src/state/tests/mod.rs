//! What must hold of the state whatever is asked of it, and in whatever order.

mod properties;
mod rows;
mod script;
