//! The client as a service of tower, so that its layers wrap it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use crate::{Body, Client, Error, RequestBody};

/// The response to come.
type Responding = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

/// [`Client::request`]. Dropping the future cancels the call.
impl<B: Into<RequestBody>> Service<Request<B>> for Client {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Responding;

    /// Always ready: which instance is called is decided per request, in the call, which has limits of its own ([`CallOptions`](crate::CallOptions)).
    /// How many calls are in flight is for a layer to limit.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Responding {
        call(self, request)
    }
}

/// As a service of [`Client`], for one that is shared.
impl<B: Into<RequestBody>> Service<Request<B>> for &Client {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Responding;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Responding {
        call(self, request)
    }
}

fn call<B: Into<RequestBody>>(client: &Client, request: Request<B>) -> Responding {
    // Converted here, so that `B` need not be `Send`.
    let (client, request) = (client.clone(), request.map(Into::into));
    Box::pin(async move { client.request(request).await })
}
