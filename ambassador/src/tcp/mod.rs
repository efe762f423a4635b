//! TCP: connects a client to an instance and relays bytes both ways.

mod buffers;
mod relay;

use std::rc::Rc;

use discovery::CallOptions;
use tracing::debug;

use crate::{
    route::ActiveRoute,
    stream::Stream,
    worker::{Context, Drain},
};
pub(crate) use buffers::Buffers;
use relay::{Relay, Traffic};

/// Serves a client's connection to its end. Nothing is read from it before an instance has accepted.
pub(crate) async fn serve(
    client: Stream,
    route: &ActiveRoute,
    context: &Rc<Context>,
    _drain: Drain,
) {
    let counters = context.counters(route);
    let Some(pool) = &route.pool else { return };
    let mut options = CallOptions::default();
    options.connect_timeout = route.config.options.connect_timeout;
    let (instance, pick) = match pool.connect_with(&options).await {
        Ok(connected) => connected,
        Err(error) => {
            counters.not_connected.add(1);
            debug!(service = route.service(), %error, "no instance for a connection");
            return client.reset();
        }
    };
    let in_flight = pick.judge(discovery::Verdict::SUCCESS);
    let traffic = Traffic { to_instance: &counters.to_instances, to_client: &counters.to_clients };
    let relay = Relay::new(client, Stream::Tcp(instance), &context.buffers, traffic);
    if let Err(broken) = relay.await {
        debug!(service = route.service(), %broken, "connection broken");
    }
    drop(in_flight);
}
