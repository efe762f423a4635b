//! Adapters: instances for the clients of other crates, each behind a feature of its name.

#[cfg(feature = "reqwest")]
mod reqwest;

#[cfg(feature = "reqwest")]
pub use reqwest::ServiceResolver;
