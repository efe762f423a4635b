//! One request of an HTTP check: the check's own, or the one that a redirect leads to. Redirects are followed as Go's HTTP client does, which
//! Consul uses, and as RFC 3986 (section 5.2) and RFC 9110 (section 15.4) say. No IO.

use std::mem;

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{
        ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, REFERER, TRAILER,
        TRANSFER_ENCODING, USER_AGENT,
    },
};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use url::{Host, SyntaxViolation, Url};

use crate::state::HttpCheck;

/// A request to send.
#[derive(Debug, Clone)]
pub(super) struct Hop {
    url: Url,
    method: Method,
    /// The headers of the check, without those that the client itself sets.
    headers: HeaderMap,
    /// The `Host` header of the check. It is used until a redirect leaves the server.
    host: Option<HeaderValue>,
    body: Bytes,
    /// The address of the first request. Credentials are only sent there.
    origin: (String, u16),
    referer: Option<HeaderValue>,
}

impl Hop {
    /// The check's own request.
    pub(super) fn first(check: &HttpCheck) -> Result<Self, String> {
        let url = read(&check.url, None)?;
        let mut headers = headers(check)?;
        let host = headers.remove(HOST).filter(|host| !host.is_empty());
        // The client frames its messages itself, and does not reuse connections.
        for own in [CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER, CONNECTION] {
            headers.remove(own);
        }
        Ok(Self {
            origin: address(&url)?,
            url,
            method: check.method.parse().map_err(|err| format!("{err}"))?,
            headers,
            host,
            body: Bytes::copy_from_slice(check.body.as_bytes()),
            referer: None,
        })
    }

    /// The request that follows an answer with this status; `None` if the answer is the last one.
    pub(super) fn next(
        mut self,
        status: StatusCode,
        location: Option<&HeaderValue>,
    ) -> Result<Option<Self>, String> {
        if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = location.filter(|location| !location.is_empty());
        let location = location.ok_or_else(|| format!("{status} without a Location"))?;
        let text = String::from_utf8_lossy(location.as_bytes());
        let url = read(&text, Some(&self.url)).map_err(|err| format!("Location {err}"))?;
        if matches!(status.as_u16(), 301..=303) {
            self.body = Bytes::new();
            if self.method != Method::HEAD {
                self.method = Method::GET;
            }
        }
        // An absolute Location has its own host.
        if Url::parse(&text).is_ok() {
            self.host = None;
        }
        if address(&url)? != self.origin {
            self.headers.remove(AUTHORIZATION);
            self.headers.remove(COOKIE);
        }
        self.referer = referer(mem::replace(&mut self.url, url));
        Ok(Some(self))
    }

    /// The address to dial: a host, which is an IP address without brackets or a name, and a port.
    pub(super) fn address(&self) -> Result<(String, u16), String> {
        address(&self.url)
    }

    pub(super) fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        let target = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        *request.uri_mut() = target.parse().map_err(|err| format!("{err}"))?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static("Consul Health Check"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/plain, text/*, */*"));
        if let Some(basic) = basic(&self.url)? {
            headers.insert(AUTHORIZATION, basic);
        }
        if let Some(referer) = &self.referer {
            headers.insert(REFERER, referer.clone());
        }
        headers.extend(self.headers.clone());
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        let host = match &self.host {
            Some(host) => host.clone(),
            None => value(&self.url[url::Position::BeforeHost..url::Position::AfterPort])?,
        };
        headers.insert(HOST, host);
        Ok(request)
    }
}

/// A URL without its password, for output. A text that is not a URL is shown as it is.
pub(super) fn shown(url: &str) -> String {
    let Some((before, rest)) = url.split_once("//") else { return url.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user_info, _)) = authority.rsplit_once('@') else { return url.to_owned() };
    let Some((user, _)) = user_info.split_once(':') else { return url.to_owned() };
    format!("{before}//{user}:***{}", &rest[user_info.len()..])
}

/// Reads a URL, which may be relative to a base. The URL standard accepts more than Go does; what Go refuses is refused.
fn read(text: &str, base: Option<&Url>) -> Result<Url, String> {
    let violation = std::cell::Cell::new(None);
    let note = |found| {
        if matches!(
            found,
            SyntaxViolation::C0SpaceIgnored
                | SyntaxViolation::ExpectedDoubleSlash
                | SyntaxViolation::TabOrNewlineIgnored
        ) {
            violation.set(Some(found));
        }
    };
    let parsed = Url::options().base_url(base).syntax_violation_callback(Some(&note)).parse(text);
    let url = parsed.map_err(|err| format!("{:?} is not a URL: {err}", shown(text)))?;
    if let Some(violation) = violation.get() {
        return Err(format!("{:?} is not a URL: {violation}", shown(text)));
    }
    if has_bad_escape(url.path()) {
        return Err(format!("{:?} is not a URL: a % without two hex digits", shown(text)));
    }
    if url.scheme() != "http" {
        return Err(format!(
            "{:?} does not have the scheme http, the only one that is supported",
            shown(text)
        ));
    }
    Ok(url)
}

fn has_bad_escape(path: &str) -> bool {
    path.split('%').skip(1).any(|rest| {
        rest.as_bytes().get(..2).is_none_or(|hex| !hex.iter().all(u8::is_ascii_hexdigit))
    })
}

fn address(url: &Url) -> Result<(String, u16), String> {
    let host = match url.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(ip)) => ip.to_string(),
        Some(Host::Ipv6(ip)) => ip.to_string(),
        None => return Err("no host in the URL".to_owned()),
    };
    Ok((host, url.port_or_known_default().unwrap_or(80)))
}

/// The headers of the check, which override the default ones. Of several `Host` headers the first counts.
fn headers(check: &HttpCheck) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, values) in &check.headers {
        let name: HeaderName =
            name.parse().map_err(|_| format!("{name:?} is not a header name"))?;
        for text in values {
            // The value may be a secret.
            let value =
                value(text).map_err(|_| format!("the value of header {name} is invalid"))?;
            headers.append(&name, value);
        }
    }
    Ok(headers)
}

fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|err| err.to_string())
}

/// The credentials of the URL as a header.
fn basic(url: &Url) -> Result<Option<HeaderValue>, String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let user = decoded(url.username());
    let credentials = [&user[..], b":", &decoded(url.password().unwrap_or_default())].concat();
    let mut basic = value(&format!("Basic {}", BASE64.encode(credentials)))?;
    basic.set_sensitive(true);
    Ok(Some(basic))
}

/// The URL of the previous request, without fragment and credentials.
fn referer(mut url: Url) -> Option<HeaderValue> {
    url.set_fragment(None);
    url.set_username("").and_then(|()| url.set_password(None)).ok()?;
    HeaderValue::from_str(url.as_str()).ok()
}
