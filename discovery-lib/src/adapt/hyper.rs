//! Services by name in hyper-util's client: a connector.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Uri, uri::Scheme};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower_service::Service;

use super::host::{Find, is_service};
use crate::{CallOptions, Error, InFlight, Instance, Pool, Verdict, error::Kind};

/// Connects to services by name, for [`hyper_util::client::legacy::Client`].
///
/// A host without a dot is a service: each connection goes to an instance that is picked for it, and to another one while connecting fails, as
/// [`Pool::connect`] does. The result counts for the instance, with the time of connecting as its latency, and an open connection is a call
/// in flight of it. A URL of a service has no port: it is known from Consul. Other hosts, and `localhost`, are connected to by
/// [`HttpConnector`].
///
/// The client keeps connections: requests are spread by connection, a failed one is not repeated on another instance, and its result does not
/// count for the choice of later picks. [`Client`](crate::Client) does all three per request. Set
/// [`pool_idle_timeout`](hyper_util::client::legacy::Builder::pool_idle_timeout) to a few seconds, so that connections follow the instances.
///
/// The extensions of a response from a service have its instance, as `Arc<`[`Instance`]`>`.
///
/// ```
/// use std::time::Duration;
/// use bytes::Bytes;
/// use discovery::{Discovery, adapt::Connector};
/// use http_body_util::Empty;
/// use hyper_util::{client::legacy::Client, rt::{TokioExecutor, TokioTimer}};
///
/// # fn main() -> Result<(), discovery::Error> {
/// let discovery = Discovery::from_env()?;
/// let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new())
///     .pool_timer(TokioTimer::new())
///     .pool_idle_timeout(Duration::from_secs(5))
///     .build(Connector::new(move |service| discovery.pool(service)));
/// let response = client.get(http::Uri::from_static("http://service2/"));
/// # drop(response);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connector {
    find: Find,
    options: CallOptions,
    other: HttpConnector,
    is_below_tls: bool,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Connector {
    /// A connector that takes the instances of a service from these pools, as [`Client::new`](crate::Client::new) does.
    pub fn new(find: impl Fn(&str) -> Pool + Send + Sync + 'static) -> Self {
        let options = CallOptions::default();
        let mut other = HttpConnector::new();
        other.set_nodelay(true);
        other.set_connect_timeout(Some(options.call_timeout));
        Self { find: Arc::new(find), options, other, is_below_tls: false }
    }

    /// With other options than the default: those that [`Pool::connect_with`] has. The connection to another host is limited by
    /// [`call_timeout`](CallOptions::call_timeout).
    ///
    /// # Errors
    ///
    /// An option is out of its bounds ([`Error::is_setting`]).
    pub fn with_options(mut self, options: CallOptions) -> Result<Self, Error> {
        options.check()?;
        self.other.set_connect_timeout(Some(options.call_timeout));
        Ok(Self { options, ..self })
    }

    /// Connects for `https://` too, for a connector that does TLS on the connections of this one. On its own it refuses such a URL, since the
    /// request would be sent without TLS.
    #[must_use]
    pub fn below_tls(mut self) -> Self {
        self.other.enforce_http(false);
        Self { is_below_tls: true, ..self }
    }

    /// # Errors
    ///
    /// It is not the URL of a service.
    fn check(&self, url: &Uri) -> Result<(), Error> {
        let refused = |reason| {
            let (scheme, host) = (url.scheme_str().unwrap_or(""), url.host().unwrap_or(""));
            let text = format!("{scheme}://{host} can't be called: {reason}");
            Err(Error::new(Kind::Setting, text))
        };
        if url.scheme() != Some(&Scheme::HTTP) && !self.is_below_tls {
            return refused("a service is called with http://");
        }
        if url.port().is_some() {
            return refused("a URL of a service has no port: it is known from Consul");
        }
        Ok(())
    }
}

impl Service<Uri> for Connector {
    type Response = ServiceConnection;
    /// [`Error`] for a service, hyper-util's own for another host.
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<ServiceConnection, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.other.poll_ready(cx).map_err(BoxError::from)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let Some(service) = url.host().filter(|host| is_service(host)) else {
            let connecting = self.other.call(url);
            return Box::pin(async { Ok(ServiceConnection { io: connecting.await?, of: None }) });
        };
        if let Err(error) = self.check(&url) {
            return Box::pin(async { Err(error.into()) });
        }
        let (pool, options) = ((self.find)(service), self.options.clone());
        Box::pin(async move { Ok(connect(&pool, &options).await?) })
    }
}

async fn connect(pool: &Pool, options: &CallOptions) -> Result<ServiceConnection, Error> {
    let (stream, pick) = pool.connect_with(options).await?;
    let instance = Arc::clone(pick.instance());
    let in_flight = pick.judge(Verdict::SUCCESS);
    Ok(ServiceConnection { io: TokioIo::new(stream), of: Some((instance, in_flight)) })
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A connection of a [`Connector`].
#[derive(Debug)]
pub struct ServiceConnection {
    io: TokioIo<TcpStream>,
    /// None for another host.
    of: Option<(Arc<Instance>, InFlight)>,
}

impl Connection for ServiceConnection {
    fn connected(&self) -> Connected {
        match &self.of {
            Some((instance, _)) => self.io.connected().extra(Arc::clone(instance)),
            None => self.io.connected(),
        }
    }
}

impl Read for ServiceConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for ServiceConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::net::TcpListener;

    use super::*;

    async fn connector() -> (Connector, TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        (Connector::new(move |service| Pool::fixed(service, [at])), listener, at)
    }

    async fn connect(mut connector: Connector, url: &str) -> Result<ServiceConnection, BoxError> {
        connector.call(url.parse().unwrap()).await
    }

    #[tokio::test]
    async fn a_url_that_is_not_of_a_service_is_refused() {
        let (connector, _listener, _) = connector().await;
        for (url, text) in [
            ("https://web/", "https://web can't be called: a service is called with http://"),
            (
                "http://user:secret@web:80/?token=secret",
                "http://web can't be called: a URL of a service has no port: it is known from Consul",
            ),
        ] {
            let error = connect(connector.clone(), url).await.unwrap_err();
            let error = error.downcast_ref::<Error>().unwrap();
            assert_eq!(error.to_string(), text);
            assert!(error.is_setting());
        }
    }

    #[tokio::test]
    async fn below_tls_it_connects_for_https_too() {
        let (connector, _listener, at) = connector().await;
        let other = format!("https://127.0.0.1:{}/", at.port());
        for (url, is_service) in [("https://web/", true), ("http://web/", true), (&other, false)] {
            let connection = connect(connector.clone().below_tls(), url).await.unwrap();
            assert_eq!(connection.io.inner().peer_addr().unwrap(), at, "{url}");
            assert_eq!(connection.of.is_some(), is_service, "{url}");
        }
        assert!(connect(connector, &other).await.is_err());
    }

    #[tokio::test]
    async fn an_address_is_not_a_service() {
        let connector = Connector::new(|service| panic!("asked for {service}"));
        // Nothing listens on port 1.
        for url in ["http://[::1]:1/", "http://127.0.0.1:1/"] {
            let error = connect(connector.clone(), url).await.unwrap_err();
            assert!(!error.is::<Error>(), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn an_option_out_of_its_bounds_is_an_error() {
        let (connector, _listener, _) = connector().await;
        let error = connector.with_options(CallOptions::default().tries_max(0)).unwrap_err();
        assert!(error.is_setting(), "{error}");
    }
}
