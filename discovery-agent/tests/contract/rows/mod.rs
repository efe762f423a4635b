//! The rows, one file per subject.

mod agent;
mod blocking;
mod catalog;
mod checks;
mod connections;
mod dns;
mod health;
mod hosts;
mod http;
mod local_health;
mod maintenance;
mod probes;
mod query;
mod redirects;
mod refused;
mod register;
mod thresholds;
mod ttl;

use crate::table::Row;

/// The table.
pub(crate) const ROWS: &[&[Row]] = &[
    agent::ROWS,
    register::ROWS,
    refused::ROWS,
    checks::ROWS,
    ttl::ROWS,
    probes::ROWS,
    thresholds::ROWS,
    redirects::ROWS,
    maintenance::ROWS,
    local_health::ROWS,
    catalog::ROWS,
    health::ROWS,
    blocking::ROWS,
    query::ROWS,
    http::ROWS,
    connections::ROWS,
    hosts::ROWS,
    dns::MESSAGES,
    dns::NAMES,
    dns::RECORDS,
    dns::SIZES,
];
