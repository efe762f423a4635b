//! HTTP/1.1: each request of a connection goes to an instance of its service.
//!
//! The path of a request:
//!
//! 1. [`connection`]: waits for a request on the client's connection, and reads its head ([`scan`]).
//! 2. [`request`], [`target`], [`fields`]: the head is checked, and written for the instance. Its body is [framed](framing) once.
//! 3. [`services`]: the service of the route, or the one that the Host names ([`service`]).
//! 4. [`call`]: picks an instance, and another while the rules of discovery-lib allow it.
//! 5. [`attempt`]: sends the request on a [kept](kept) connection or a new one, and reads the head of the [`response`].
//! 6. [`forward`]: the answer goes to the client, and the connection to the instance is kept for the next request.
//!
//! Bodies are forwarded from the buffer where they were read ([`transfer`], [`chunked`]). A connection that is in use has two [buffers](buffer), an
//! idle one none ([`scratch`]). A request needs no task, no channel, and usually no timer ([`alarm`]).
//!
//! What two parsers could frame differently is refused: with 400 from a client, with 502 from an instance. Nothing is forwarded as it came
//! but targets, and names and values of headers.
//!
//! `Via` is not sent: servers such as nginx send uncompressed responses to proxies that name themselves.

mod alarm;
mod attempt;
mod buffer;
mod call;
mod chunked;
mod connection;
mod fields;
mod forward;
mod framing;
mod kept;
mod metrics;
mod refusal;
mod request;
mod response;
mod scan;
mod scratch;
mod service;
mod services;
mod target;
mod trailers;
mod transfer;
mod wait;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use discovery::{CallOptions, MemberId};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    HttpTimeouts,
    counters::Counters,
    route::ActiveRoute,
    stream::Stream,
    worker::{Context, Drain},
};
use connection::Connection;
use kept::Kept;
pub(crate) use metrics::Metrics;
use refusal::Refusal;
use scratch::Spares;
pub(crate) use service::is_named_by_host;
use services::{Service, Services};

/// The time for the next request of a connection, unless the route has another.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// How often connections and names that are not used are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The proxy of one route on one worker, with its kept connections to instances.
#[derive(Debug)]
pub(crate) struct Proxy {
    route: Arc<ActiveRoute>,
    context: Rc<Context>,
    options: CallOptions,
    services: Rc<Services>,
    kept: Rc<Kept>,
    spares: Spares,
    /// Clients' connections that wait for a request.
    idle: Cell<usize>,
    /// Drops what is not used. It runs while there is anything.
    sweeper: RefCell<Option<AbortOnDropHandle<()>>>,
}

impl Proxy {
    pub(crate) fn new(route: Arc<ActiveRoute>, context: Rc<Context>) -> Self {
        let timeouts = route.config.options.http;
        let options = CallOptions::default()
            .connect_timeout(route.config.options.connect_timeout)
            .try_timeout(timeouts.response)
            .stall_timeout(timeouts.stall)
            .call_timeout(timeouts.retry);
        Self {
            services: Rc::new(Services::of(&route, &options)),
            kept: Rc::new(Kept::new(options.idle_max as usize, options.idle_timeout)),
            route,
            context,
            options,
            spares: Spares::default(),
            idle: Cell::new(0),
            sweeper: RefCell::default(),
        }
    }

    /// Serves a client's connection to its end. After the drain has begun, each answer closes its connection.
    pub(crate) async fn serve(&self, stream: Stream, drain: Drain) {
        Connection::new(self, stream, drain).run().await;
    }

    fn options(&self) -> &CallOptions {
        &self.options
    }

    fn timeouts(&self) -> &HttpTimeouts {
        &self.route.config.options.http
    }

    /// For the next request of a connection.
    fn idle_timeout(&self) -> Duration {
        self.route.config.options.idle_timeout.unwrap_or(IDLE_TIMEOUT)
    }

    fn linger(&self) -> Option<Duration> {
        self.route.config.options.linger
    }

    fn trusts_callers(&self) -> bool {
        self.route.config.options.trusts_callers
    }

    fn counters(&self) -> &Counters {
        self.context.counters(&self.route)
    }

    fn metrics(&self) -> &Metrics {
        &self.counters().http
    }

    /// The service of a request with this Host.
    fn service(&self, host: Option<&str>, now: Instant) -> Result<Rc<Service>, Refusal> {
        let allowed = self.route.config.options.allow.as_deref();
        let service = self.services.find(host, allowed, &self.context, &self.options, now)?;
        if let Services::ByHost(_) = *self.services {
            self.sweep();
        }
        Ok(service)
    }

    /// Keeps a connection for the next request to this member.
    fn keep(&self, member: MemberId, upstream: Stream) {
        self.kept.put(member, upstream, Instant::now());
        self.sweep();
    }

    /// Has what is not used dropped later.
    fn sweep(&self) {
        let mut sweeper = self.sweeper.borrow_mut();
        if sweeper.as_ref().is_none_or(AbortOnDropHandle::is_finished) {
            let (kept, services) = (Rc::clone(&self.kept), Rc::clone(&self.services));
            *sweeper = Some(AbortOnDropHandle::new(spawn_local(async move {
                let is_used = |now| kept.close_old(now) | services.drop_unused(now);
                while is_used(Instant::now()) {
                    sleep(SWEEP_EVERY).await;
                }
            })));
        }
    }
}
