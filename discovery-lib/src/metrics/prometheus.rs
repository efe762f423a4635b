//! Metrics in a registry of prometheus-client.

use std::fmt;

use prometheus_client::{
    collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use super::{Family, Kind, Metrics};

/// The metrics of a program, read at each scrape of a registry.
///
/// ```
/// use discovery::{Discovery, Settings, metrics::Collector};
/// use prometheus_client::registry::Registry;
///
/// # fn main() -> Result<(), discovery::Error> {
/// let discovery = Discovery::new(Settings::default())?;
/// let mut registry = Registry::default();
/// registry.register_collector(Box::new(Collector::new(move || discovery.metrics())));
/// # Ok(())
/// # }
/// ```
pub struct Collector(Box<dyn Fn() -> Metrics + Send + Sync>);

impl Collector {
    /// A collector of what this returns at each scrape.
    pub fn new(metrics: impl Fn() -> Metrics + Send + Sync + 'static) -> Self {
        Self(Box::new(metrics))
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        (self.0)().families().iter().try_for_each(|family| encode(family, &mut encoder))
    }
}

fn encode(family: &Family, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let metric_type = match family.kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
    };
    let mut encoder = encoder.encode_descriptor(family.name, family.help, None, metric_type)?;
    for sample in &family.samples {
        let encoder = encoder.encode_family(&sample.labels)?;
        match family.kind {
            Kind::Counter => ConstCounter::new(sample.value as u64).encode(encoder)?,
            Kind::Gauge if sample.value.fract() == 0.0 => {
                ConstGauge::new(sample.value as i64).encode(encoder)?;
            }
            Kind::Gauge => ConstGauge::new(sample.value).encode(encoder)?,
        }
    }
    Ok(())
}
