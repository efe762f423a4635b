//! A request that is put together step by step.

use std::{fmt, pin::Pin};

use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header::CONTENT_TYPE};
use percent_encoding::utf8_percent_encode;
use serde::Serialize;
use tokio::time::Duration;

use super::{Body, CallOptions, Client, RequestBody, client::not_callable};
use crate::{Error, agent::ESCAPED, error::Kind, redact::without_secrets};

/// A request to a service, returned by [`Client::get`] and its like. It is sent by [`send`](Self::send) or by awaiting it.
///
/// An invalid part (URL, header, JSON) is an error when the request is sent.
///
/// ```no_run
/// # use discovery::{Client, Error};
/// # use serde::{Deserialize, Serialize};
/// # use tokio::time::Duration;
/// #[derive(Serialize)]
/// struct Item { name: String }
/// #[derive(Deserialize)]
/// struct Stored { id: u64 }
///
/// # async fn run(client: Client) -> Result<(), Error> {
/// let answer = client
///     .put("http://store/items")
///     .query("dry_run", true)
///     .header("x-request-id", "7f3a")
///     .json(&Item { name: "cup".to_owned() })
///     .timeout(Duration::from_secs(2))
///     .await?;
/// let stored: Stored = answer.into_body().json(64 * 1024).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a request is sent by `send` or by awaiting it"]
pub struct RequestBuilder {
    client: Client,
    request: Result<Request<RequestBody>, Error>,
}

impl RequestBuilder {
    pub(super) fn new(client: Client, method: Method, url: &str) -> Self {
        let request = url.parse().map(|url: Uri| {
            let mut request = Request::new(RequestBody::from(()));
            *request.method_mut() = method;
            *request.uri_mut() = url;
            request
        });
        let request =
            request.map_err(|error| not_callable(without_secrets(url), "no URL").because(error));
        Self { client, request }
    }

    /// Adds `name=value` to the query of the URL, percent-encoded.
    pub fn query(self, name: &str, value: impl fmt::Display) -> Self {
        self.and(|request| {
            let mut url = request.uri().to_string();
            let value = value.to_string();
            let escaped = |text| utf8_percent_encode(text, ESCAPED);
            url.push(if request.uri().query().is_some() { '&' } else { '?' });
            url += &format!("{}={}", escaped(name), escaped(&value));
            *request.uri_mut() =
                url.parse().map_err(|error| not_sent("its URL is too long", error))?;
            Ok(())
        })
    }

    /// Adds a header. Headers of the same name are kept.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<http::Error>>,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        self.and(|request| {
            let name = name
                .try_into()
                .map_err(|error| not_sent("a header has an invalid name", error.into()))?;
            let value = value.try_into().map_err(|error| {
                not_sent(&format!("the header {name} has an invalid value"), error.into())
            })?;
            request.headers_mut().append(name, value);
            Ok(())
        })
    }

    /// Sets the body. [`RequestBody`] states which bodies are sent again when a try fails.
    pub fn body(self, body: impl Into<RequestBody>) -> Self {
        self.and(|request| {
            *request.body_mut() = body.into();
            Ok(())
        })
    }

    /// Sets the body to this value as JSON, and `Content-Type` to `application/json` unless it is set.
    pub fn json(self, value: &(impl Serialize + ?Sized)) -> Self {
        self.and(|request| {
            let json = serde_json::to_vec(value)
                .map_err(|error| not_sent("its body can't be JSON", error))?;
            *request.body_mut() = json.into();
            request
                .headers_mut()
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
            Ok(())
        })
    }

    /// Sets the time limit of the call with all its tries, [`CallOptions::call_timeout`]. The limit of a single try stays:
    /// [`CallOptions::try_timeout`], 1 s by default.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.options(|options| options.call_timeout(timeout))
    }

    /// Changes the options of this call, which are those of its service otherwise.
    ///
    /// ```no_run
    /// # use discovery::Client;
    /// # use tokio::time::Duration;
    /// # fn run(client: Client) {
    /// let slow = client.get("http://reports/yearly").options(|options| options.try_timeout(Duration::from_secs(4)));
    /// # }
    /// ```
    pub fn options(mut self, change: impl FnOnce(CallOptions) -> CallOptions) -> Self {
        if let Ok(request) = &mut self.request {
            let own = request.extensions_mut().remove();
            let service = request.uri().host().unwrap_or_default();
            let options = own.unwrap_or_else(|| self.client.options_of(service).clone());
            request.extensions_mut().insert(change(options));
        }
        self
    }

    /// Sends the request, as [`Client::request`].
    ///
    /// # Errors
    ///
    /// As [`Client::request`]; a part of the request is invalid ([`Error::is_setting`]).
    pub async fn send(self) -> Result<Response<Body>, Error> {
        self.client.request(self.request?).await
    }

    /// After the first error nothing changes.
    fn and(mut self, change: impl FnOnce(&mut Request<RequestBody>) -> Result<(), Error>) -> Self {
        if let Ok(request) = &mut self.request
            && let Err(error) = change(request)
        {
            self.request = Err(error);
        }
        self
    }
}

impl IntoFuture for RequestBuilder {
    type Output = Result<Response<Body>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for RequestBuilder {
    /// Neither query nor headers nor body: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RequestBuilder");
        match &self.request {
            Ok(request) => {
                let (method, url) = (request.method(), request.uri());
                debug
                    .field("method", method)
                    .field("service", &url.host())
                    .field("path", &url.path())
            }
            Err(error) => debug.field("error", error),
        };
        debug.finish_non_exhaustive()
    }
}

fn not_sent(why: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(Kind::Setting, format!("request not sent: {why}")).because(error)
}
