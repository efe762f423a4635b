//! Adapters: services by name in the clients of other crates, and instances that are served by other crates.
//!
//! # tower
//!
//! [`Client`](crate::Client) is a [`Service`](tower_service::Service) of requests, without a feature, so layers of tower wrap it. It is always
//! ready: it picks an instance per request, and has deadlines of its own ([`CallOptions`](crate::CallOptions)). A layer sees one call, which
//! may be several tries:
//!
//! ```
//! use std::time::Duration;
//! use discovery::{Client, Pool, RequestBody};
//! use http::{HeaderValue, Request, header::AUTHORIZATION};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # async fn run(client: Client, token: HeaderValue) -> Result<(), tower::BoxError> {
//! let mut client = ServiceBuilder::new()
//!     .concurrency_limit(100)
//!     .timeout(Duration::from_secs(3)) // less than `CallOptions::call_timeout`
//!     .map_request(move |mut request: Request<RequestBody>| {
//!         request.headers_mut().insert(AUTHORIZATION, token.clone());
//!         request
//!     })
//!     .service(client);
//! let request = Request::post("http://service2/orders").body("one tea".into())?;
//! let response = client.ready().await?.call(request).await?;
//! # drop(response);
//! # Ok(())
//! # }
//! ```
//!
//! The layers of tower do not retry and do not balance here: the client does both, with a budget.
//!
//! # gRPC
//!
//! A generated client of tonic takes such a service: the client in HTTP/2 ([`Protocol::Http2`](crate::Protocol)), below a layer that makes its
//! bodies [`RequestBody`](crate::RequestBody). The response body has the trailers. `examples/tonic` is all of it. For streams that pause,
//! [`stall_timeout`](crate::CallOptions#structfield.stall_timeout) has to be longer. A message of up to 64 KiB is sent again if it was surely
//! not served; a status of gRPC never causes another try.
//!
//! # Other crates
//!
//! | feature | what | for |
//! |---|---|---|
//! | `hyper` | `Connector` | a client of hyper-util, by connection |
//! | `reqwest` | `ServiceResolver` | a client of reqwest, by connection |
//! | `tower` | `LifecycleLayer` | a server of axum or of any HTTP service of tower, for its callers |
//! | `tower` | `Endpoints` | a balancer of tower, or one of your own: each instance as it comes and goes |

#[cfg(feature = "tower")]
mod discover;
#[cfg(any(feature = "hyper", feature = "reqwest"))]
mod host;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "tower")]
mod lifecycle;
#[cfg(feature = "reqwest")]
mod reqwest;
mod service;

#[cfg(feature = "tower")]
pub use discover::Endpoints;
#[cfg(feature = "hyper")]
pub use hyper::{Connector, ServiceConnection};
#[cfg(feature = "tower")]
pub use lifecycle::{LifecycleFuture, LifecycleLayer, LifecycleService};
#[cfg(feature = "reqwest")]
pub use reqwest::ServiceResolver;
