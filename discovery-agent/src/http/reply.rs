//! Answers and their encoding: headers, JSON plain or pretty, gzip.

use std::io::Write;

use bytes::Bytes;
use consul_wire::header;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

/// Shorter bodies are not compressed. Consul's limit.
const GZIP_MIN: usize = 1400;

/// The requested encoding of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Style {
    pub(crate) pretty: bool,
    pub(crate) gzip: bool,
}

/// An encoded body.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    pub(crate) gzipped: bool,
}

impl Body {
    /// JSON in Consul's format: pretty JSON ends with a newline. Serialization fails only by a bug of this crate.
    pub(crate) fn json<T: Serialize + ?Sized>(value: &T, style: Style) -> Self {
        let mut bytes = Vec::with_capacity(1024);
        let written = if style.pretty {
            let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, indent))
        } else {
            value.serialize(&mut serde_json::Serializer::new(&mut bytes))
        };
        if let Err(err) = written {
            tracing::error!(error = %err, "JSON encoding failed");
        }
        if style.pretty {
            bytes.push(b'\n');
        }
        Self::encoded(bytes, style)
    }

    fn encoded(bytes: Vec<u8>, style: Style) -> Self {
        if style.gzip && bytes.len() >= GZIP_MIN {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            if let Ok(zipped) = gzip.write_all(&bytes).and_then(|()| gzip.finish()) {
                return Self { bytes: zipped.into(), gzipped: true };
            }
        }
        Self { bytes: bytes.into(), gzipped: false }
    }
}

/// An answer that is not encoded yet, so that the state is not locked while it is encoded.
pub(crate) type Later = Box<dyn FnOnce() -> Reply + Send>;

/// 200 with this value as JSON.
pub(crate) fn later<T: Serialize + Send + 'static>(value: T, style: Style) -> Later {
    Box::new(move || Reply::json(Body::json(&value, style)))
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply(Response<Full<Bytes>>);

impl Reply {
    /// 200 with an empty body.
    pub(crate) fn done() -> Self {
        Self::new(StatusCode::OK, Bytes::new())
    }

    pub(crate) fn json(body: Body) -> Self {
        let mut reply = Self::new(StatusCode::OK, body.bytes);
        reply.set(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if body.gzipped {
            reply.set(http::header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        reply
    }

    pub(crate) fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        let mut reply = Self::new(status, text);
        reply
            .set(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        reply
    }

    /// 200 with plain text.
    pub(crate) fn plain(text: impl Into<Bytes>) -> Self {
        let mut reply = Self::new(StatusCode::OK, text);
        reply.set(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        reply
    }

    pub(crate) fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = status;
        Self(response)
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        *self.0.status_mut() = status;
        self
    }

    pub(crate) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.headers_mut().insert(name, value);
    }

    /// Adds the headers of a catalog answer.
    pub(crate) fn of_catalog(mut self, index: u64, consistency: Consistency) -> Self {
        self.set(INDEX, HeaderValue::from(index));
        self.set(KNOWN_LEADER, HeaderValue::from_static("true"));
        self.set(LAST_CONTACT, HeaderValue::from_static("0"));
        self.set(EFFECTIVE_CONSISTENCY, HeaderValue::from_static(consistency.as_str()));
        self
    }

    /// Adds the headers of a cached answer. It is never older than the catalog here.
    pub(crate) fn of_cache(&mut self, hit: bool) {
        const CACHE: HeaderName = HeaderName::from_static(header::CACHE);
        self.set(CACHE, HeaderValue::from_static(if hit { "HIT" } else { "MISS" }));
        if hit {
            self.set(http::header::AGE, HeaderValue::from_static("0"));
        }
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        self.0
    }
}

pub(crate) const CONTENT_HASH: HeaderName = HeaderName::from_static(header::CONTENT_HASH);
const INDEX: HeaderName = HeaderName::from_static(header::INDEX);
const KNOWN_LEADER: HeaderName = HeaderName::from_static(header::KNOWN_LEADER);
const LAST_CONTACT: HeaderName = HeaderName::from_static(header::LAST_CONTACT);
const EFFECTIVE_CONSISTENCY: HeaderName = HeaderName::from_static(header::EFFECTIVE_CONSISTENCY);

/// The consistency mode of a read. The single agent is always leader, so the modes differ in name only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consistency {
    Leader,
    Stale,
    Consistent,
}

impl Consistency {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Stale => "stale",
            Self::Consistent => "consistent",
        }
    }
}

/// A failed request: a status and Consul's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    status: StatusCode,
    text: String,
    /// An answer of the catalog, with its headers.
    of_catalog: bool,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), of_catalog: false }
    }

    /// 400.
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// 500.
    pub(crate) fn internal(text: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    /// Another datacenter: this agent has only its own.
    pub(crate) fn no_path() -> Self {
        let text = "No path to datacenter".to_owned();
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, text, of_catalog: true }
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        let mut reply = Self::text(failure.status, failure.text);
        if failure.of_catalog {
            reply.set(INDEX, HeaderValue::from_static("1"));
            reply.set(KNOWN_LEADER, HeaderValue::from_static("false"));
            reply.set(LAST_CONTACT, HeaderValue::from_static("0"));
        }
        reply
    }
}
