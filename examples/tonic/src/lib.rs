//! A client of tonic whose channel finds services by name: the generated client of `grpc.health.v1.Health`, which most gRPC servers have. In
//! three terminals:
//!
//! ```text
//! discovery agent
//! discovery run greeter --port 50051 -- any-grpc-server
//! cargo run -p tonic-example -- greeter
//! ```

use std::time::Duration;

use discovery::{CallOptions, Client, Discovery, Error, Protocol, RequestBody};
use http::{Request, uri::InvalidUri};
use tonic::body::Body;
use tonic_health::pb::health_client::HealthClient;
use tower::{ServiceExt, util::MapRequest};

/// In place of `tonic::transport::Channel`, for all services and every generated client. The host of its URL is a service.
pub type Channel = MapRequest<Client, fn(Request<Body>) -> Request<RequestBody>>;

/// A channel to all services.
///
/// # Errors
///
/// This program was built without HTTP/2.
pub fn channel(discovery: &Discovery) -> Result<Channel, Error> {
    channel_with(&discovery.client(), CallOptions::default())
}

/// A channel that calls as this client does, with these options, but in HTTP/2, and whose streams may pause.
///
/// # Errors
///
/// This program was built without HTTP/2.
pub fn channel_with(client: &Client, options: CallOptions) -> Result<Channel, Error> {
    let options = options.protocol(Protocol::Http2).stall_timeout(Duration::MAX);
    Ok(client.with_options(options)?.map_request(|request| request.map(RequestBody::new)))
}

/// The generated client, for a service.
///
/// # Errors
///
/// The name of the service is none.
pub fn health(channel: Channel, service: &str) -> Result<HealthClient<Channel>, InvalidUri> {
    Ok(HealthClient::with_origin(channel, format!("http://{service}").parse()?))
}
