//! The options of calls: timeouts, tries, retry budget and idle connections.

use std::{fmt, ops::RangeInclusive, time::Duration};

use super::{protocol::Protocol, tls::InstanceTls, tries::Hedge};
use crate::{Error, Tls, error::Kind};

/// The options of calls, for all services of a client ([`Client::with_options`](crate::Client::with_options)), for one service
/// ([`Client::with_service_options`](crate::Client::with_service_options)), or for one request (as an extension of it, see
/// [`Client::request`](crate::Client::request)).
///
/// A value out of its bounds is an error when the options are used, and the error names the bounds.
///
/// ```
/// # use std::time::Duration;
/// # use discovery::{CallOptions, Client, Pool};
/// # fn main() -> Result<(), discovery::Error> {
/// # let client = Client::new(|service| Pool::fixed(service, []));
/// // Responses that take up to 3 s, and streams of events with a byte every 30 s.
/// let options = CallOptions::default()
///     .try_timeout(Duration::from_secs(3))
///     .stall_timeout(Duration::from_secs(30))
///     .call_timeout(Duration::from_secs(10));
/// let client = client.with_options(options)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallOptions {
    /// For a connection to an instance, name resolution included. Default 250 ms, at least 1 ms. A longer one tolerates lost SYN packets and
    /// long distances; an unreachable host then costs each call that much more until it is ejected.
    pub connect_timeout: Duration,
    /// For one try, from pick to the head of the response; for a request that is not sent at once, from its last byte. Default 1 s, at least
    /// 1 ms. A longer one is for slow handlers; a stuck instance is abandoned later.
    pub try_timeout: Duration,
    /// For the next byte while a body is sent or read. Default 2 s, at least 1 ms, in which TCP retransmits three times. While the producer of
    /// a request body has nothing to send, this timeout does not apply. An instance that stalls has failed.
    /// [`Duration::MAX`] is for responses that may pause forever.
    pub stall_timeout: Duration,
    /// For the whole call: all tries, and reading the response with [`Body::bytes`](crate::Body::bytes). Default 5 s, at least 1 ms.
    pub call_timeout: Duration,
    /// For the first list of instances, before the first call. Default 1 s, at least 1 ms. With a list that is empty, a call fails at once.
    pub ready_timeout: Duration,
    /// Tries of one call. Default 10, from 1 to 100. Several instances in a row may refuse when a host restarts.
    pub tries_max: u32,
    /// Tries of one call that may have been served, the first included. Default 3, from 1 to 100. Each is load on an instance.
    pub served_max: u32,
    /// Retries allowed per hundred requests to a service within [`retry_window`](Self::retry_window). Default 20, at most 100. It bounds the
    /// load that retries add.
    pub retry_percent: u32,
    /// Retries allowed per second regardless of the number of requests. Default 10, at most 10 000. It lets callers with few requests retry.
    pub retries_per_second: u32,
    /// The time over which requests and retries are counted. Default 10 s, from 1 s to 5 min. A longer one allows a longer burst.
    pub retry_window: Duration,
    /// When a request without an answer is sent to a second instance too; the first good answer is used, and the other try is cancelled.
    /// Default none. It shortens the longest waits for some more load: at most one more request per call, from the retry budget. Only
    /// for GET, HEAD, OPTIONS, PUT and DELETE with a body that can be sent again; both instances may serve the request.
    pub hedge: Option<Hedge>,
    /// Idle connections kept per instance. Default 256, at most 4096; 0 opens a connection per call.
    pub idle_max: u32,
    /// How long an idle connection is kept. Default 4 s, at most 1 h. It must be less than the idle timeout of the servers (5 s in Node.js and
    /// Uvicorn): a request that meets a close cannot be told from one that was served.
    pub idle_timeout: Duration,
    /// The version of HTTP. Default [`Protocol::Auto`]. With HTTP/2 the calls in flight to an instance share a connection, at most 100 of them;
    /// it is the protocol of gRPC.
    pub protocol: Protocol,
    pub(crate) tls: Option<InstanceTls>,
    /// Calls with the same key go to the same instance, while the instances are the same ([`PickOptions::key`](crate::PickOptions::key)).
    /// Default none: each call goes to the instance with the least load.
    pub key: Option<u64>,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_millis(250),
            try_timeout: Duration::from_secs(1),
            stall_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(5),
            ready_timeout: Duration::from_secs(1),
            tries_max: 10,
            served_max: 3,
            retry_percent: 20,
            retries_per_second: 10,
            retry_window: Duration::from_secs(10),
            hedge: None,
            idle_max: 256,
            idle_timeout: Duration::from_secs(4),
            protocol: Protocol::default(),
            tls: None,
            key: None,
        }
    }
}

/// One setter per field.
macro_rules! setters {
    ($($field:ident: $type:ty),* $(,)?) => {
        impl CallOptions {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ").")]
                #[must_use]
                pub fn $field(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

setters! {
    connect_timeout: Duration,
    try_timeout: Duration,
    stall_timeout: Duration,
    call_timeout: Duration,
    ready_timeout: Duration,
    tries_max: u32,
    served_max: u32,
    retry_percent: u32,
    retries_per_second: u32,
    retry_window: Duration,
    idle_max: u32,
    idle_timeout: Duration,
    protocol: Protocol,
    key: Option<u64>,
}

impl CallOptions {
    /// Sets [`hedge`](Self#structfield.hedge).
    ///
    /// ```
    /// use discovery::{CallOptions, tries::Hedge};
    ///
    /// let options = CallOptions::default().hedge(Hedge::P95);
    /// let never = options.clone().hedge(None);
    /// # assert!(options.hedge.is_some() && never.hedge.is_none());
    /// ```
    #[must_use]
    pub fn hedge(mut self, hedge: impl Into<Option<Hedge>>) -> Self {
        self.hedge = hedge.into();
        self
    }
}

impl CallOptions {
    /// Calls instances over TLS (feature `tls`), or without (the default). The files are read again for each connection, as those for the
    /// agent. The handshake is part of [`connect_timeout`](Self#structfield.connect_timeout).
    ///
    /// The certificate of an instance must have the name [`Tls::server_name`], or else the host of the instance as Consul has it. That is an IP
    /// address mostly, which the certificate must then have as a subject alternative name; one name for all instances needs `server_name`.
    ///
    /// The URL of a service stays `http://`: whether its calls use TLS is a property of the service. With `https://` a call without these
    /// options is an error.
    ///
    /// ```
    /// use discovery::{CallOptions, Tls};
    ///
    /// let tls = Tls::default().ca_file("/etc/ca.pem").server_name("orders.service.consul");
    /// let options = CallOptions::default().tls(tls);
    /// ```
    #[must_use]
    pub fn tls(mut self, tls: impl Into<Option<Tls>>) -> Self {
        self.tls = tls.into().map(InstanceTls::new);
        self
    }
}

const NO_HTTP2: &str =
    "HTTP/2 needs the feature `http2` of discovery-lib, which this program was built without";
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::MAX;
const RETRY_WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);
const IDLE_TIMEOUT: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(3600);

impl CallOptions {
    /// # Errors
    ///
    /// A value is out of its bounds.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (name, value, bounds) in [
            ("connect_timeout", self.connect_timeout, TIMEOUT),
            ("try_timeout", self.try_timeout, TIMEOUT),
            ("stall_timeout", self.stall_timeout, TIMEOUT),
            ("call_timeout", self.call_timeout, TIMEOUT),
            ("ready_timeout", self.ready_timeout, TIMEOUT),
            ("retry_window", self.retry_window, RETRY_WINDOW),
            ("idle_timeout", self.idle_timeout, IDLE_TIMEOUT),
        ] {
            within(name, &value, &bounds)?;
        }
        if self.protocol == Protocol::Http2 && !cfg!(feature = "http2") {
            return Err(Error::new(Kind::Setting, NO_HTTP2));
        }
        if let Some(tls) = &self.tls {
            tls.check()?;
        }
        if let Some(Hedge::After(delay)) = self.hedge {
            within("hedge", &delay, &TIMEOUT)?;
        }
        for (name, value, bounds) in [
            ("tries_max", self.tries_max, 1..=100),
            ("served_max", self.served_max, 1..=100),
            ("retry_percent", self.retry_percent, 0..=100),
            ("retries_per_second", self.retries_per_second, 0..=10_000),
            ("idle_max", self.idle_max, 0..=4096),
        ] {
            within(name, &value, &bounds)?;
        }
        Ok(())
    }
}

fn within<T: PartialOrd + fmt::Debug>(
    name: &str,
    value: &T,
    bounds: &RangeInclusive<T>,
) -> Result<(), Error> {
    if bounds.contains(value) {
        return Ok(());
    }
    let (least, most) = (bounds.start(), bounds.end());
    let text =
        format!("{name} of the call options is {value:?}: it must be from {least:?} to {most:?}");
    Err(Error::new(Kind::Setting, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_within_their_bounds_are_accepted() {
        let least =
            CallOptions::default().idle_max(0).idle_timeout(Duration::ZERO).retry_percent(0);
        let least = least.retries_per_second(0).tries_max(1).served_max(1);
        let most = CallOptions::default().stall_timeout(Duration::MAX).call_timeout(Duration::MAX);
        for options in [CallOptions::default(), least, most] {
            assert!(options.check().is_ok(), "{options:?}");
        }
    }

    #[cfg(not(feature = "http2"))]
    #[test]
    fn without_the_feature_http2_is_an_error() {
        let error = CallOptions::default().protocol(Protocol::Http2).check().unwrap_err();
        assert!(error.is_setting() && error.to_string() == NO_HTTP2, "{error}");
    }

    #[test]
    fn a_value_out_of_its_bounds_is_an_error_that_names_them() {
        let default = CallOptions::default;
        let (zero, day) = (Duration::ZERO, Duration::from_secs(24 * 60 * 60));
        for (options, text) in [
            (
                default().connect_timeout(zero),
                "connect_timeout of the call options is 0ns: it must be from 1ms to ",
            ),
            (default().try_timeout(zero), "try_timeout of"),
            (default().stall_timeout(zero), "stall_timeout of"),
            (default().call_timeout(zero), "call_timeout of"),
            (default().ready_timeout(zero), "ready_timeout of"),
            (
                default().hedge(Hedge::After(zero)),
                "hedge of the call options is 0ns: it must be from 1ms to ",
            ),
            (
                default().retry_window(day),
                "retry_window of the call options is 86400s: it must be from 1s to 300s",
            ),
            (
                default().idle_timeout(day),
                "idle_timeout of the call options is 86400s: it must be from 0ns to 3600s",
            ),
            (
                default().tries_max(0),
                "tries_max of the call options is 0: it must be from 1 to 100",
            ),
            (
                default().served_max(101),
                "served_max of the call options is 101: it must be from 1 to 100",
            ),
            (default().retry_percent(101), "retry_percent of"),
            (default().retries_per_second(10_001), "retries_per_second of"),
            (
                default().idle_max(4097),
                "idle_max of the call options is 4097: it must be from 0 to 4096",
            ),
        ] {
            let error = options.check().unwrap_err();
            assert!(error.is_setting() && error.to_string().starts_with(text), "{error}");
        }
    }
}
