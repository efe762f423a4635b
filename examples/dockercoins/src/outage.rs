//! Logs the start and the end of an outage, and no repetition.

use std::fmt::Display;

use tracing::{info, warn};

/// Whether a service that is called again and again has failed last time.
#[derive(Debug)]
pub(crate) struct Outage {
    service: &'static str,
    is_on: bool,
}

impl Outage {
    pub(crate) fn of(service: &'static str) -> Self {
        Self { service, is_on: false }
    }

    /// Notes the result of a call.
    pub(crate) fn note<T, E: Display>(&mut self, result: &Result<T, E>) {
        let service = self.service;
        match (result, self.is_on) {
            (Err(error), false) => warn!(service, %error, "calls fail; trying again"),
            (Ok(_), true) => info!(service, "calls succeed again"),
            (Ok(_), false) | (Err(_), true) => {}
        }
        self.is_on = result.is_err();
    }
}
