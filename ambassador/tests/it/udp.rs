//! UDP routes, with real clients and instances.

mod dns;
mod instances;
mod sessions;
mod world;
