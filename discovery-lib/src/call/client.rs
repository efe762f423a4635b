//! Calls by service name: `http://service2/path` goes to the best instance of service2.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, Uri, uri::Scheme};
use tokio::time::Instant;

use super::{
    Body, CallOptions, RequestBody, RequestBuilder, request::Outgoing, upstream::Upstream,
};
use crate::{Error, Pool, error::Kind, lifetime::LINGER, redact::without_secrets};

/// The maximum number of services of a client. Above it a call is an error: names may be user input, and each one is a query to Consul.
pub(crate) const SERVICES_MAX: usize = 256;
/// A service that was not called for this time may be replaced by another one.
pub(crate) const UNUSED_MAX: Duration = LINGER;

/// Why a URL with https:// is refused.
const NEEDS_TLS: &str = "https:// needs TLS in the options of its calls (CallOptions::tls)";

/// Calls services by name. Cheap to clone; clones share pools, connections and retry budgets.
///
/// The host of a URL is a service: `http://service2/orders?id=7` requests `/orders?id=7` from an instance of service2. Each try goes to the
/// best instance by rank, latency and load; a failed one is repeated on another instance where that is safe (see
/// [`Client::request`]).
///
/// With a subscriber of `tracing` at level DEBUG, each call has a span `call` (`service`, `method`) with a span `try` for each try (`service`,
/// `instance`, `node`, `attempt`, and `status` or `error`).
///
/// It is a `Service` of tower too, so that layers wrap its calls ([`adapt`](crate::adapt)).
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

pub(crate) type Find = Arc<dyn Fn(&str) -> Pool + Send + Sync>;

struct Shared {
    find: Find,
    options: CallOptions,
    /// The options of single services.
    of_services: HashMap<Box<str>, CallOptions>,
    upstreams: RwLock<Upstreams>,
}

impl Client {
    /// A client that calls the instances of these pools. A service is asked for at its first call, and again when it was not called for
    /// 60 s; where several calls are the first at the same moment, each may ask, and the pool of one of them serves all.
    ///
    /// ```
    /// # use discovery::{Client, Pool};
    /// let client = Client::new(|service| Pool::fixed(service, ["127.0.0.1:8002".parse().unwrap()]));
    /// ```
    pub fn new(find: impl Fn(&str) -> Pool + Send + Sync + 'static) -> Self {
        Self::build(Arc::new(find), CallOptions::default(), HashMap::new())
    }

    pub(crate) fn build(
        find: Find,
        options: CallOptions,
        of_services: HashMap<Box<str>, CallOptions>,
    ) -> Self {
        let upstreams = RwLock::default();
        Self { shared: Arc::new(Shared { find, options, of_services, upstreams }) }
    }

    /// A client of the same pools with other options, for all services that have none of their own. It shares connections with this one and
    /// has retry budgets of its own.
    ///
    /// # Errors
    ///
    /// An option is out of its bounds ([`Error::is_setting`]).
    pub fn with_options(&self, options: CallOptions) -> Result<Self, Error> {
        options.check()?;
        Ok(Self::build(self.shared.find.clone(), options, self.shared.of_services.clone()))
    }

    /// As [`Client::with_options`], for one service.
    ///
    /// # Errors
    ///
    /// An option is out of its bounds ([`Error::is_setting`]).
    pub fn with_service_options(
        &self,
        service: impl Into<Box<str>>,
        options: CallOptions,
    ) -> Result<Self, Error> {
        options.check()?;
        let mut of_services = self.shared.of_services.clone();
        of_services.insert(service.into(), options);
        Ok(Self::build(self.shared.find.clone(), self.shared.options.clone(), of_services))
    }

    /// A GET of a URL whose host is a service.
    ///
    /// ```no_run
    /// # async fn run(client: discovery::Client) -> Result<(), discovery::Error> {
    /// let answer = client.get("http://service2/").await?;
    /// let text = answer.into_body().text(1024).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self, url: &str) -> RequestBuilder {
        self.method(Method::GET, url)
    }

    /// A HEAD of a URL whose host is a service.
    pub fn head(&self, url: &str) -> RequestBuilder {
        self.method(Method::HEAD, url)
    }

    /// A POST to a URL whose host is a service.
    pub fn post(&self, url: &str) -> RequestBuilder {
        self.method(Method::POST, url)
    }

    /// A PUT to a URL whose host is a service.
    pub fn put(&self, url: &str) -> RequestBuilder {
        self.method(Method::PUT, url)
    }

    /// A PATCH of a URL whose host is a service.
    pub fn patch(&self, url: &str) -> RequestBuilder {
        self.method(Method::PATCH, url)
    }

    /// A DELETE of a URL whose host is a service.
    pub fn delete(&self, url: &str) -> RequestBuilder {
        self.method(Method::DELETE, url)
    }

    /// A request with any method to a URL whose host is a service.
    pub fn method(&self, method: Method, url: &str) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, url)
    }

    /// Sends a request to an instance of the service that its URL names, and returns the response with any status: errors are for calls
    /// without a response.
    ///
    /// A try that failed is repeated on another instance (three that may have served it, ten in all) within the service's retry budget (a
    /// fifth of its requests and ten a second), if the request was certainly not served (no connection, 421, 503 with `Discovery-Leaving`, in HTTP/2
    /// what the server refused or left unserved), or if the method is GET, HEAD, OPTIONS, PUT or DELETE (no answer in time, connection lost, 429,
    /// 502, 503, 504). The last of those answers is returned as it came. A 429 with `Retry-After` applies to the caller, so the next try, on any
    /// instance, waits that long; where that is longer than the call has left, the 429 is returned at once. Headers for one hop alone are dropped in
    /// both directions; `Host` is the service unless the request has its own.
    ///
    /// [`CallOptions`] in the extensions of the request apply to this call, except for the retry budget. [`RequestBody`] states which bodies
    /// are sent again.
    ///
    /// Cancel safety: dropping the future cancels the call and closes its connection, or its stream in HTTP/2; the instance may still serve the
    /// request.
    ///
    /// # Errors
    ///
    /// No instance accepted the call ([`Error::is_no_instance`]: it was not served), there was no response in time ([`Error::is_timeout`]), or
    /// every connection was lost before the head of its response; or too many services are called already ([`Error::is_limit`]). [`Error::tried`] names each instance that was tried and why it failed.
    pub async fn request<B: Into<RequestBody>>(
        &self,
        mut request: Request<B>,
    ) -> Result<Response<Body>, Error> {
        let own = request.extensions_mut().remove::<CallOptions>();
        if let Some(own) = &own {
            own.check()?;
        }
        let upstream = self.upstream(service_of(request.uri())?)?;
        let options = own.as_ref().unwrap_or(upstream.options());
        if request.uri().scheme() == Some(&Scheme::HTTPS) && options.tls.is_none() {
            return Err(not_callable(shown(request.uri()), NEEDS_TLS));
        }
        #[cfg(feature = "tls")]
        if let Some(tls) = &options.tls {
            tls.ready().await?;
        }
        let request = Outgoing::new(request.map(Into::into), upstream.name());
        upstream.call(&request, options).await
    }

    /// The options of the calls of a service that have none of their own.
    pub(super) fn options_of(&self, service: &str) -> &CallOptions {
        self.shared.of_services.get(service).unwrap_or(&self.shared.options)
    }

    fn upstream(&self, service: &str) -> Result<Arc<Upstream>, Error> {
        let known = |upstreams: &Upstreams| {
            upstreams.get(service).filter(|known| !known.has_ended()).cloned()
        };
        if let Some(known) = known(&self.shared.read()) {
            return Ok(known);
        }
        let name = HeaderValue::from_str(service)
            .map_err(|error| not_callable(service, "not a service name").because(error))?;
        let now = Instant::now();
        make_room(&mut self.shared.write(), service, now)?;
        // Not under the lock: `find` may use this client.
        let pool = (self.shared.find)(service);
        let new = Arc::new(Upstream::new(pool, name, self.options_of(service).clone(), now));
        let mut upstreams = self.shared.write();
        if let Some(known) = known(&upstreams) {
            return Ok(known);
        }
        make_room(&mut upstreams, service, now)?;
        upstreams.insert(service.into(), new.clone());
        Ok(new)
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Upstreams> {
        self.upstreams.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Upstreams> {
        self.upstreams.write().unwrap_or_else(PoisonError::into_inner)
    }
}

type Upstreams = HashMap<Box<str>, Arc<Upstream>>;

/// Makes room for a service by removing those that were not called for [`UNUSED_MAX`], or else the one without instances that was called
/// longest ago: names without instances must not block services. A service that is called and has instances is kept.
///
/// # Errors
/// All of them are.
fn make_room(upstreams: &mut Upstreams, service: &str, now: Instant) -> Result<(), Error> {
    if upstreams.contains_key(service) || upstreams.len() < SERVICES_MAX {
        return Ok(());
    }
    upstreams.retain(|_, upstream| now - upstream.last_called_at() < UNUSED_MAX);
    if upstreams.len() < SERVICES_MAX {
        return Ok(());
    }
    let without = upstreams.iter().filter(|(_, upstream)| !upstream.has_instances());
    let oldest = without.min_by_key(|(_, upstream)| upstream.last_called_at());
    let Some(oldest) = oldest.map(|(service, _)| service.clone()) else {
        let text = format!(
            "no call to {service}: {SERVICES_MAX} other services were called in the last {UNUSED_MAX:?}, which is the limit of a client"
        );
        return Err(Error::new(Kind::Limit, text));
    };
    upstreams.remove(&oldest);
    Ok(())
}

/// The service that a URL names.
fn service_of(url: &Uri) -> Result<&str, Error> {
    let refused = |reason| Err(not_callable(shown(url), reason));
    if ![Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&url.scheme()) {
        return refused("a service is called with http:// or https://");
    }
    match url.authority() {
        Some(authority) if authority.as_str() == authority.host() => Ok(authority.host()),
        Some(authority) if authority.as_str().contains('@') => {
            refused("a user and a password belong in an Authorization header")
        }
        Some(_) => refused("a URL of a service has no port: it is known from Consul"),
        None => refused("it names no service"),
    }
}

/// A URL without user, password and query: they may be secret.
fn shown(url: &Uri) -> String {
    let scheme = url.scheme_str().map_or(String::new(), |scheme| format!("{scheme}://"));
    let authority = url.authority().map_or(String::new(), |it| without_secrets(it.as_str()));
    format!("{scheme}{authority}{}", url.path())
}

pub(super) fn not_callable(url: impl fmt::Display, reason: &str) -> Error {
    Error::new(Kind::Setting, format!("{url} can't be called: {reason}"))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = self.shared.upstreams.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Client")
            .field("services", &services.keys())
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}
