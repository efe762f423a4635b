//! TCP: connects a client to an instance and relays bytes both ways.

mod activity;
mod buffers;
mod flow;
mod header;
mod outcome;
mod relay;
pub(crate) mod sticky;

use std::{future::pending, os::fd::AsFd, rc::Rc, time::Duration};

use discovery::{CallOptions, InFlight, Pick, Pool, Verdict};
use socket2::SockRef;
use tokio::{io::AsyncWriteExt as _, select, time::Instant};
use tracing::{debug, warn};

use crate::{
    RouteOptions,
    counters::Counters,
    listen::keepalive,
    route::ActiveRoute,
    stream::Stream,
    worker::{Context, Drain},
};
use activity::Activity;
pub(crate) use buffers::{Buffer, Buffers};
use outcome::{Cut, Ended};
use relay::{Relay, Traffic};

/// Instances that may each take the whole time for a connection, before the client's is reset.
const CONNECTS: u32 = 2;

/// Serves a client's connection to its end. Nothing is read from it before an instance has accepted.
pub(crate) async fn serve(
    client: Stream,
    route: &ActiveRoute,
    context: &Rc<Context>,
    drain: Drain,
) {
    let (options, counters) = (&route.config.options, context.counters(route));
    let Some(pool) = &route.pool else { return };
    // On the heap, so that a connection that relays does not keep the memory of one that connects.
    let (instance, pick) = match Box::pin(connect(pool, &client, options)).await {
        Ok(connected) => connected,
        Err(error) => {
            counters.not_connected.add(1);
            if route.may_warn() {
                warn!(service = route.service(), %error, "no instance for a connection: it is reset");
            }
            return client.reset();
        }
    };
    let activity = Activity::new(options.idle_timeout.is_some(), Instant::now());
    let relay =
        Relay::new(client, instance, &context.buffers, Traffic::of(counters)).noting(&activity);
    let ended = run(relay, pick, &activity, options, &drain).await;
    note(&ended, route, counters);
}

/// Relays a connection that HTTP has upgraded to another protocol, within the limits of its route.
pub(crate) async fn relay_upgraded(
    client: Stream,
    instance: Stream,
    in_flight: InFlight,
    route: &ActiveRoute,
    context: &Rc<Context>,
    drain: Drain,
) {
    let (options, counters) = (&route.config.options, context.counters(route));
    set_keepalive(&instance, route.service());
    let activity = Activity::new(options.idle_timeout.is_some(), Instant::now());
    let mut relay =
        Relay::new(client, instance, &context.buffers, Traffic::of(counters)).noting(&activity);
    let ended: Ended = select! {
        biased;
        ended = &mut relay => ended.into(),
        cut = limits(&activity, options, &in_flight, &drain) => Ended::Cut(cut),
    };
    note(&ended, route, counters);
}

fn note(ended: &Ended, route: &ActiveRoute, counters: &Counters) {
    match ended {
        Ended::InOrder => {}
        Ended::Cut(_) => counters.cut.add(1),
        Ended::Broken(_) => counters.broken.add(1),
    }
    debug!(service = route.service(), %ended, "connection ended");
}

/// Connects to an instance, and sends it the address of the client if the route has a PROXY header.
async fn connect(
    pool: &Pool,
    client: &Stream,
    options: &RouteOptions,
) -> Result<(Stream, Pick), discovery::Error> {
    let mut call = call_options(options.connect_timeout);
    // Now, as a client that breaks its connection has no address any more.
    let ends = options.proxy_protocol.and_then(|_| client.ends());
    if options.sticky {
        call.key = client.peer().map(|peer| sticky::key(peer.ip()));
    }
    let (mut stream, pick) = pool.connect_with(&call).await?;
    set_keepalive(&stream, pool.service());
    if let Some(version) = options.proxy_protocol {
        // It fits into the buffer of a new connection. One that fails is noticed by the relay.
        stream.write_all(&header::header(version, ends)).await.ok();
    }
    Ok((Stream::Tcp(stream), pick))
}

/// The limits of a connection to any instance.
fn call_options(connect_timeout: Duration) -> CallOptions {
    let options = CallOptions::default();
    let in_all = options.call_timeout.max(CONNECTS * connect_timeout);
    options.connect_timeout(connect_timeout).call_timeout(in_all)
}

/// An instance whose host is gone is noticed, also while the client is silent.
fn set_keepalive(stream: &impl AsFd, service: &str) {
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive()) {
        debug!(service, %error, "keepalive not set");
    }
}

/// Relays until an end or a limit, and reports the verdict on the instance as soon as it is known.
async fn run(
    mut relay: Relay<'_>,
    pick: Pick,
    activity: &Activity,
    options: &RouteOptions,
    drain: &Drain,
) -> Ended {
    // Its latency is that of the connection. What follows waits for the client as well.
    let mut in_flight = pick.judge(Verdict::ANSWERED);
    let mut is_judged = false;
    let ended = loop {
        select! {
            biased;
            ended = &mut relay => break ended.into(),
            verdict = activity.judged(), if !is_judged => {
                in_flight.judge(verdict);
                is_judged = true;
            }
            cut = limits(activity, options, &in_flight, drain) => break Ended::Cut(cut),
        }
    };
    if !is_judged {
        in_flight.judge(activity.verdict().unwrap_or(Verdict::NOTHING));
    }
    ended
}

/// Waits until the connection is to be cut.
async fn limits(
    activity: &Activity,
    options: &RouteOptions,
    in_flight: &InFlight,
    drain: &Drain,
) -> Cut {
    let idle = async {
        match options.idle_timeout {
            Some(timeout) => activity.idle(timeout).await,
            None => pending().await,
        }
    };
    let linger = async {
        let Some(linger) = options.linger else { return pending().await };
        select! {
            () = in_flight.gone() => {}
            () = drain.begun() => {}
        }
        activity.linger(linger).await;
    };
    select! {
        () = idle => Cut::Idle,
        () = linger => Cut::Linger,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, UnixStream};

    use super::*;

    #[tokio::test]
    async fn an_instance_whose_host_is_gone_is_noticed_while_the_client_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let pool = Pool::fixed("echo", [listener.local_addr().unwrap()]);
        let (client, _other) = UnixStream::pair().unwrap();
        let options = RouteOptions::default();
        let (instance, pick) = connect(&pool, &Stream::Unix(client), &options).await.unwrap();
        assert!(SockRef::from(&instance).keepalive().unwrap());
        pick.succeed();
    }

    #[test]
    fn two_instances_may_take_the_whole_time_for_a_connection() {
        for (secs, in_all) in [(1, 5), (2, 5), (10, 20), (86_400, 172_800)] {
            let options = call_options(Duration::from_secs(secs));
            assert_eq!(options.connect_timeout.as_secs(), secs);
            assert_eq!(options.call_timeout.as_secs(), in_all);
        }
    }
}
