//! Runs any program as a registered service.
