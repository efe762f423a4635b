//! HTTP routes: odd messages, retries, upgrades, services by Host, time limits, and the drain.

mod calls;
mod conformance;
mod instance;
mod message;
mod responses;
mod rows;
mod timeouts;

use std::{net::SocketAddr, sync::Arc};

use ambassador::{Ambassador, Config, Listen, Route, RouteOptions, Target};
use discovery::{Discovery, Host, Query, Settings, Source, agent::AgentSettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// An ambassador with one route on one worker, and its address.
fn start(
    discovery: Discovery,
    target: Target,
    options: impl FnOnce(&mut RouteOptions),
) -> (Ambassador, SocketAddr) {
    let mut route = Route::new(Listen::Tcp("127.0.0.1:0".parse().unwrap()), target).unwrap();
    options(&mut route.options);
    let ambassador = Ambassador::start(&Config::new(vec![route]).unwrap(), discovery, 1).unwrap();
    let [Listen::Tcp(at)] = ambassador.addresses()[..] else { panic!("no address") };
    (ambassador, at)
}

/// A registry in which every service has these instances. No agent is asked.
fn fixed(instances: &[SocketAddr]) -> Discovery {
    let hosts: Arc<[_]> = instances.iter().map(|at| (Host::Ip(at.ip()), at.port())).collect();
    let settings = Settings::new(AgentSettings::new(SocketAddr::from(([127, 0, 0, 1], 1))));
    Discovery::new(settings.source(Source::Fixed(hosts))).unwrap()
}

/// An ambassador in front of these instances of `web`.
fn before(instances: &[SocketAddr]) -> (Ambassador, SocketAddr) {
    start(fixed(instances), Target::Http(Query::new("web")), |_| {})
}

/// Sends these bytes, closes the sending side, and reads to the end. None: the connection was reset.
async fn send(at: SocketAddr, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let mut got = Vec::new();
    for (nth, part) in parts.iter().enumerate() {
        // A later part is sent once something has come for those before it.
        if nth > 0 && stream.read_buf(&mut got).await.ok()? == 0 {
            return Some(got);
        }
        // The proxy may have answered and closed before it got everything.
        if stream.write_all(part).await.is_err() {
            break;
        }
    }
    stream.shutdown().await.ok();
    stream.read_to_end(&mut got).await.ok()?;
    Some(got)
}
