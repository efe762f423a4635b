//! Metrics of pools and of the calls through them, as plain data and for Prometheus. Nothing has to be switched on.
//!
//! [`Discovery::metrics`](crate::Discovery::metrics) has those of all pools of a program, [`Metrics::of_pools`] those of some. They are read
//! from the existing state when they are asked for. All have the label `service`.
//!
//! | name | kind | meaning |
//! |---|---|---|
//! | `discovery_members` | gauge | members by `rank`: `passing`, `warning`, `spare`, `ejected`, `reserve` |
//! | `discovery_calls_in_flight` | gauge | calls that use a member now |
//! | `discovery_calls` | counter | results of calls to members, good and bad: each try has one, unless it was abandoned |
//! | `discovery_calls_failed` | counter | those that count as failures for ejection |
//! | `discovery_ejections` | counter | ejections of members |
//! | `discovery_retries` | counter | tries beyond the first of a call |
//! | `discovery_hedges` | counter | tries beside another one of a call |
//! | `discovery_over_budget` | counter | tries that the retry budget did not allow |
//! | `discovery_answers` | counter | answers about the instances of a service |
//! | `discovery_query_failures` | counter | failed queries for its instances |
//! | `discovery_query_failing` | gauge | 1 while queries for its instances fail |
//! | `discovery_snapshot_age_seconds` | gauge | age of the last answer |
//! | `discovery_snapshot_index` | gauge | Consul's index of the last answer |
//! | `discovery_snapshot_from_disk` | gauge | 1 if the instances are those from disk, since there was no answer yet |
//! | `discovery_hidden_by_acls` | gauge | 1 if ACLs hide records from the token, as far as Consul says so |
//! | `discovery_failed_tries` | counter | tries that did not bring the response of their call, by `reason` |
//!
//! The reasons are `not connected`, `tls`, `closed` (or reset), `late`, `invalid` (not HTTP, not HTTP/2, or a head that is too long),
//! `request body`, `misdirected` (421) and `status` (a status that asks for another instance). Tries of one's own count too if they are made with
//! [`tries`](crate::tries).
//!
//! A pool that ends starts again from 0, as a program does. A derived pool ([`Pool::filter`](crate::Pool::filter)) shares the counters of its
//! origin.
//!
//! # Prometheus
//!
//! With the feature `metrics`, [`Collector`] adds them to a registry of prometheus-client. A server of [`serve`](crate::serve) has them at
//! `/metrics` of its admin listener ([`Server::admin`](crate::serve::Server::admin)). Names of counters end in `_total` there.
//!
//! # Other systems
//!
//! [`Metrics::families`] is all that a bridge needs. To the `metrics` facade, called every few seconds:
//!
//! ```
//! use discovery::{Discovery, metrics::Kind};
//!
//! fn publish(discovery: &Discovery) {
//!     for family in discovery.metrics().families() {
//!         for sample in &family.samples {
//!             match family.kind {
//!                 Kind::Gauge => metrics::gauge!(family.name, &sample.labels).set(sample.value),
//!                 _ => metrics::counter!(family.name, &sample.labels).absolute(sample.value as u64),
//!             }
//!         }
//!     }
//! }
//! ```

mod collect;
mod counts;
mod family;
#[cfg(feature = "metrics")]
mod prometheus;

pub(crate) use counts::Counts;
pub use family::{Family, Kind, Metrics, Sample};
#[cfg(feature = "metrics")]
pub use prometheus::Collector;

#[cfg(test)]
mod tests;
