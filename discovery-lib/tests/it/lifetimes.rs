//! How long watches, pools and connections live, and what they leave behind at the agent.

mod causes;
mod names;
mod places;
mod runtimes;
