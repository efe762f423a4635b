//! Queries to Consul in two ways: its HTTP catalog and its DNS.

mod admin;
mod ask;
mod change;
mod compare;
mod explain;
mod json;

pub(crate) use admin::Admin;
pub(crate) use ask::{Answer, Ask, BothAnswers, Consul};
pub(crate) use change::{Change, changes};
pub(crate) use compare::{Line, Verdict, compare};
pub(crate) use json::instance as instance_json;
