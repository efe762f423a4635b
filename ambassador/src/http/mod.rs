//! HTTP/1.1: each request of a connection goes to an instance.

mod buffer;
mod chunked;
mod fields;
mod framing;
mod refusal;
mod request;
mod response;
mod scan;
mod service;
mod target;
mod trailers;
mod transfer;

use std::{rc::Rc, sync::Arc};

use crate::{
    route::ActiveRoute,
    stream::Stream,
    worker::{Context, Drain},
};

/// The proxy of one route on one worker, with its kept connections to instances.
#[derive(Debug)]
pub(crate) struct Proxy {
    route: Arc<ActiveRoute>,
    context: Rc<Context>,
}

impl Proxy {
    pub(crate) fn new(route: Arc<ActiveRoute>, context: Rc<Context>) -> Self {
        Self { route, context }
    }

    /// Serves a client's connection to its end. After the drain has begun, answers say that they are the last.
    pub(crate) async fn serve(&self, stream: Stream, drain: Drain) {
        let _ = (&self.route, &self.context, stream, drain);
    }
}
