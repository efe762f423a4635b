//! Options of services: how their pools and calls behave. Each has a documented default and bounds.

use std::time::Duration;

use crate::{
    CallOptions, Error, Policy, Random,
    balance::PolicyKind,
    error::Kind,
    member::{BreakerOptions, FAILURES_LIMIT, WINDOW_MAX},
};

/// The options of one service, or of all.
///
/// ```
/// use std::time::Duration;
/// use discovery::{PoolOptions, ServiceOptions};
///
/// let pool = PoolOptions::new().consecutive_failures(3).reserve(Duration::from_secs(300));
/// let options = ServiceOptions::new().pool(pool);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ServiceOptions {
    /// How instances are chosen and ejected.
    pub pool: PoolOptions,
    /// Timeouts, tries and connections of calls.
    pub call: CallOptions,
}

impl ServiceOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how instances are chosen and ejected.
    #[must_use]
    pub fn pool(self, pool: PoolOptions) -> Self {
        Self { pool, ..self }
    }

    /// Sets timeouts, tries and connections of calls.
    #[must_use]
    pub fn call(self, call: CallOptions) -> Self {
        Self { call, ..self }
    }

    /// # Errors
    /// A value is out of bounds: the error names it and the bound.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.pool.check()?;
        self.call.check()
    }
}

/// How a pool chooses and ejects instances. Values are checked when a pool is created ([`Pool::fixed_with`](crate::Pool::fixed_with)).
#[derive(Debug, Clone)]
pub struct PoolOptions {
    pub(crate) breaker: BreakerOptions,
    pub(crate) ejected_max_percent: u8,
    pub(crate) reserve: Duration,
    pub(crate) slow_start: Duration,
    pub(crate) policy: PolicyKind,
    random: Option<Random>,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            breaker: BreakerOptions::default(),
            ejected_max_percent: 50,
            reserve: Duration::from_secs(60),
            slow_start: Duration::ZERO,
            policy: PolicyKind::default(),
            random: None,
        }
    }
}

impl PoolOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Consecutive failures that eject an instance: 1 to 63, default 5. Fewer eject sooner, and also for a short disturbance.
    ///
    /// ```
    /// use discovery::PoolOptions;
    ///
    /// // A single refused call ejects an instance.
    /// let options = PoolOptions::new().consecutive_failures(1);
    /// ```
    #[must_use]
    pub fn consecutive_failures(mut self, failures: u8) -> Self {
        self.breaker.failures_max = failures;
        self
    }

    /// The first ejection of an instance, and the longest; each further one is twice as long, with a jitter of up to a half more. 1 s to
    /// 1 h, default 1 s and 60 s. Longer ejections send fewer probes to a failed instance, and use a repaired one later.
    ///
    /// ```
    /// use std::time::Duration;
    /// use discovery::PoolOptions;
    ///
    /// // For instances that restart within seconds.
    /// let options = PoolOptions::new().ejection(Duration::from_secs(1), Duration::from_secs(5));
    /// ```
    #[must_use]
    pub fn ejection(mut self, min: Duration, max: Duration) -> Self {
        (self.breaker.ejected_min, self.breaker.ejected_max) = (min, max);
        self
    }

    /// The success rate below which an instance is ejected, in percent: 0 (never) to 100, default 50.
    ///
    /// ```
    /// use std::time::Duration;
    /// use discovery::PoolOptions;
    ///
    /// // Below 90 % of at least 100 calls in 30 s.
    /// let options = PoolOptions::new()
    ///     .success_rate_min(90)
    ///     .success_rate_window(Duration::from_secs(30))
    ///     .success_rate_calls_min(100);
    /// ```
    #[must_use]
    pub fn success_rate_min(mut self, percent: u8) -> Self {
        self.breaker.good_min_percent = percent;
        self
    }

    /// The window over which the success rate is measured, in whole seconds: 1 s to 60 s, default 10 s.
    #[must_use]
    pub fn success_rate_window(mut self, window: Duration) -> Self {
        self.breaker.window = window;
        self
    }

    /// The number of calls in the window below which the success rate is ignored: at least 1, default 20.
    #[must_use]
    pub fn success_rate_calls_min(mut self, calls: u32) -> Self {
        self.breaker.samples_min = calls;
        self
    }

    /// The share of instances that may be ejected at the same time, in percent and rounded down: 0 (ejection is off) to 100, default 50.
    ///
    /// ```
    /// use discovery::PoolOptions;
    ///
    /// // Ejection is off: only Consul's checks decide.
    /// let options = PoolOptions::new().ejected_max(0);
    /// ```
    #[must_use]
    pub fn ejected_max(mut self, percent: u8) -> Self {
        self.ejected_max_percent = percent;
        self
    }

    /// How long after an ejection only repeatable calls probe the instance ([`PickOptions::repeatable`](crate::PickOptions::repeatable)): 0 to
    /// 1 h, or [`Duration::MAX`] for always; default 60 s. After that, one call of any kind is the probe.
    ///
    /// Always keeps calls that must not be sent twice away from an instance that has failed. But a service that gets no other calls never
    /// readmits an ejected instance then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use discovery::PoolOptions;
    ///
    /// // A payment is never the probe.
    /// let options = PoolOptions::new().repeatable_probes(Duration::MAX);
    /// ```
    #[must_use]
    pub fn repeatable_probes(mut self, time: Duration) -> Self {
        self.breaker.repeatable_only = time;
        self
    }

    /// Slow start: the time over which the share of an instance rises from a tenth to all, when it is new in Consul, returns from the reserve,
    /// or was ejected. 0 (off) to 1 h, default off. The instances of the first answer are not new.
    ///
    /// For instances that are slow at first, by their caches or just-in-time compilers, together with a policy that ignores latency: the
    /// default policy notices a slow instance at its first answer, and one that it has not called yet gets no more calls at the same time
    /// than others.
    ///
    /// ```
    /// use std::time::Duration;
    /// use discovery::{PoolOptions, RoundRobin};
    ///
    /// let options = PoolOptions::new().policy(RoundRobin).slow_start(Duration::from_secs(30));
    /// ```
    #[must_use]
    pub fn slow_start(mut self, time: Duration) -> Self {
        self.slow_start = time;
        self
    }

    /// How long an instance that vanished from Consul, or turned critical without maintenance, remains in reserve: 0 to 1 h, default 60 s.
    /// Longer survives a longer loss of the registry's data.
    #[must_use]
    pub fn reserve(mut self, reserve: Duration) -> Self {
        self.reserve = reserve;
        self
    }

    /// The policy that chooses among eligible instances. Default: [`PeakEwma`](crate::PeakEwma). A table of all is in the
    /// [documentation of the crate](crate#policies).
    ///
    /// ```
    /// use discovery::{PoolOptions, RoundRobin};
    ///
    /// let options = PoolOptions::new().policy(RoundRobin);
    /// ```
    #[must_use]
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = PolicyKind::Custom(std::sync::Arc::new(policy));
        self
    }

    /// The source of random numbers. Default: a generator per thread, seeded from entropy. A seeded source reproduces the picks of a test, and
    /// is shared by all threads.
    ///
    /// ```
    /// use discovery::{PoolOptions, Random};
    ///
    /// let options = PoolOptions::new().random(Random::seeded(7));
    /// ```
    #[must_use]
    pub fn random(mut self, random: Random) -> Self {
        self.random = Some(random);
        self
    }

    /// With a sequence of this source, unless it has a source already.
    pub(crate) fn or_random(mut self, random: &Random) -> Self {
        self.random.get_or_insert_with(|| random.fork());
        self
    }

    /// # Errors
    /// A value is out of bounds: the error names it and the bound.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let Self { breaker, ejected_max_percent, reserve, slow_start, .. } = self;
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        let ejections = second..=hour;
        let is_whole = breaker.window.subsec_nanos() == 0;
        for (is_valid, bound) in [
            (
                (1..=FAILURES_LIMIT).contains(&breaker.failures_max),
                "consecutive_failures must be 1 to 63",
            ),
            (ejections.contains(&breaker.ejected_min), "the first ejection must last 1 s to 1 h"),
            (ejections.contains(&breaker.ejected_max), "the longest ejection must last 1 s to 1 h"),
            (
                breaker.ejected_min <= breaker.ejected_max,
                "the first ejection must not be longer than the longest",
            ),
            (breaker.good_min_percent <= 100, "success_rate_min must be 0 to 100 percent"),
            (
                is_whole && (second..=WINDOW_MAX).contains(&breaker.window),
                "success_rate_window must be 1 s to 60 s, in whole seconds",
            ),
            (breaker.samples_min > 0, "success_rate_calls_min must be at least 1"),
            (*ejected_max_percent <= 100, "ejected_max must be 0 to 100 percent"),
            (*reserve <= hour, "reserve must be 0 to 1 h"),
            (
                breaker.repeatable_only <= hour || breaker.repeatable_only == Duration::MAX,
                "repeatable_probes must be 0 to 1 h, or Duration::MAX",
            ),
            (*slow_start <= hour, "slow_start must be 0 to 1 h"),
        ] {
            if !is_valid {
                return Err(Error::new(Kind::Setting, bound));
            }
        }
        self.policy.check().map_err(|text| Error::new(Kind::Setting, text))
    }

    #[inline]
    pub(crate) fn seed(&self) -> u64 {
        self.random.as_ref().map_or_else(|| fastrand::u64(..), Random::u64)
    }

    /// A number from 0 to 1.
    pub(crate) fn fraction(&self) -> f32 {
        self.random.as_ref().map_or_else(fastrand::f32, |random| random.f64() as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConsistentHash, Locality};

    #[test]
    fn an_option_out_of_bounds_is_an_error_that_names_the_bound() {
        let seconds = Duration::from_secs;
        let new = PoolOptions::new;
        for (options, expected) in [
            (new(), None),
            (new().consecutive_failures(0), Some("1 to 63")),
            (new().consecutive_failures(63), None),
            (new().consecutive_failures(64), Some("1 to 63")),
            (new().ejection(Duration::from_millis(999), seconds(60)), Some("1 s to 1 h")),
            (new().ejection(seconds(1), seconds(3601)), Some("1 s to 1 h")),
            (new().ejection(seconds(3), seconds(2)), Some("not be longer")),
            (new().success_rate_min(101), Some("0 to 100")),
            (new().success_rate_window(Duration::from_millis(1500)), Some("whole seconds")),
            (new().success_rate_window(seconds(61)), Some("1 s to 60 s")),
            (new().success_rate_calls_min(0), Some("at least 1")),
            (new().ejected_max(101), Some("0 to 100")),
            (new().reserve(seconds(3601)), Some("0 to 1 h")),
            (new().repeatable_probes(seconds(3601)), Some("0 to 1 h")),
            (new().repeatable_probes(Duration::MAX), None),
            (new().slow_start(seconds(3601)), Some("0 to 1 h")),
            (new().policy(ConsistentHash::new().load_max(100)), Some("101 to 10000")),
            (new().policy(Locality::new()), Some("needs a node, a zone or a datacenter")),
        ] {
            let error = options.check().err().map(|error| error.to_string());
            match (&error, expected) {
                (Some(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
                (error, expected) => assert_eq!(error.as_deref(), expected),
            }
        }
    }
}
