//! The lifetimes of watches, pools and connections, and of their connections at the agent.

mod causes;
mod connection_limit;
mod names;
mod runtimes;
