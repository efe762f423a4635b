//! Metrics as plain data, for any system that collects them.

use crate::Pool;

use super::collect::collect;

/// The metrics of pools at a moment. All names begin with `discovery_`; [the module](crate::metrics) lists them.
///
/// ```
/// use discovery::{Pool, metrics::Metrics};
///
/// let pool = Pool::fixed("web", ["127.0.0.1:80".parse().unwrap()]);
/// let metrics = Metrics::of_pools([&pool]);
/// assert_eq!(metrics.get("discovery_members", &[("service", "web"), ("rank", "passing")]), Some(1.0));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics(Vec<Family>);

/// All samples of one name.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// Its name, without the suffix that some systems give to counters.
    pub name: &'static str,
    /// One line about it, without a period at its end.
    pub help: &'static str,
    /// Whether it only grows.
    pub kind: Kind,
    /// One for each set of labels.
    pub samples: Vec<Sample>,
}

/// The kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// It grows, and starts again from 0 when the pool does.
    Counter,
    /// A value of this moment.
    Gauge,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// The value. That of a counter is a whole number.
    pub value: f64,
}

impl Metrics {
    /// The metrics of these pools. The numbers of pools of the same service are added up; of ages it is the greatest.
    #[must_use]
    pub fn of_pools<'a>(pools: impl IntoIterator<Item = &'a Pool>) -> Self {
        Self(collect(pools))
    }

    /// The families, in a fixed order.
    #[must_use]
    pub fn families(&self) -> &[Family] {
        &self.0
    }

    /// The value of the sample with these labels, in their order.
    #[must_use]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let is_asked = |sample: &&Sample| {
            sample
                .labels
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .eq(labels.iter().copied())
        };
        let family = self.0.iter().find(|family| family.name == name)?;
        family.samples.iter().find(is_asked).map(|sample| sample.value)
    }
}
