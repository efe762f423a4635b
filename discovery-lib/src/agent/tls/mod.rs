//! TLS to the agent, with the feature `tls`. Its settings and files: [`crate::tls`].

#[cfg(feature = "tls")]
mod refusal;
#[cfg(feature = "tls")]
mod secure;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod secure;
#[cfg(test)]
#[cfg(feature = "tls")]
mod tests;

pub(super) use secure::Secure;
