//! `ambassador`: local ports that stand for services.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, thread, time::Duration};

use ambassador::{
    Ambassador as Running, Changes, Config, Error, ProxyProtocol, Reload, Route, RouteOptions,
    Takeover, Target,
};
use discovery::{Discovery, Source, shutdown_signal};
use program::{Outcome, Usage, address, duration, listen};
use tokio::net::TcpListener;

use crate::look::Ask;

/// The arguments that a file replaces.
const IN_FILE: [&str; 10] = [
    "routes",
    "port_connections",
    "connections",
    "connect_timeout",
    "idle_timeout",
    "linger",
    "sticky",
    "proxy_protocol",
    "allow",
    "untrusted_callers",
];

/// Listens on local ports that stand for services, for programs that know nothing of Consul
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example: discovery ambassador 6379=redis 127.0.0.1:3306=mariadb ./run/app.sock=app 80=http:*

LISTEN is PORT (on all addresses of this machine), IP:PORT, udp:PORT, udp:IP:PORT, or the path of a
unix socket, with a slash. SERVICE is the name of a service, with tag=TAG and dc=DATACENTER after
commas where only those instances are meant. With http: in front, each HTTP/1.1 request goes to an
instance, not each connection; http:* takes the service from the Host of a request.")]
pub(crate) struct Ambassador {
    /// Ports and the services that they stand for
    #[arg(required_unless_present = "config", value_name = "LISTEN=SERVICE")]
    routes: Vec<Route>,
    /// TOML file with the routes and their limits, instead of arguments; read again on SIGHUP
    #[arg(long, value_name = "FILE", conflicts_with_all = IN_FILE)]
    config: Option<PathBuf>,
    /// Unix socket: takes over the ports of the ambassador that listens there, and hands them over to
    /// the next one, without a refused connection
    #[arg(long, value_name = "PATH")]
    takeover: Option<PathBuf>,
    /// How to find instances: catalog (Consul's HTTP API), dns, or fixed:HOST:PORT,...
    #[arg(long, env = "RESOLVE", value_name = "HOW", default_value = "catalog")]
    resolve: Source,
    #[command(flatten)]
    ask: Ask,
    /// Connections of each port; one more is reset at once
    #[arg(long, value_name = "N", default_value_t = RouteOptions::default().connections_max, value_parser = connections)]
    port_connections: usize,
    /// Connections of all ports
    #[arg(long, value_name = "N", default_value_t = Config::CONNECTIONS_MAX, value_parser = connections)]
    connections: usize,
    /// Time for a connection to an instance; then another one is tried
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    connect_timeout: Duration,
    /// Reset connections without traffic for this long; unset: never, and 90s between requests of http:
    #[arg(long, value_name = "TIME", value_parser = duration)]
    idle_timeout: Option<Duration>,
    /// Reset connections this long after their instance has left; unset: never
    #[arg(long, value_name = "TIME", value_parser = duration)]
    linger: Option<Duration>,
    /// Send each client address to the same instance while the instances stay the same
    #[arg(long)]
    sticky: bool,
    /// Send instances the client's address in a PROXY header: v1 or v2
    #[arg(long, value_name = "VERSION")]
    proxy_protocol: Option<ProxyProtocol>,
    /// With http:*, the only services that requests may name; unset: all
    #[arg(long, value_name = "SERVICE,...", value_delimiter = ',')]
    allow: Option<Vec<String>>,
    /// Replace X-Forwarded-For, -Proto and -Host of HTTP requests instead of adding the client to them
    #[arg(long)]
    untrusted_callers: bool,
    /// Time for connections to end after a shutdown signal
    #[arg(long, env = "DRAIN", value_name = "TIME", default_value = "2s", value_parser = duration)]
    drain: Duration,
    /// Address of a separate listener for /metrics, /explain and /ready; unset: none
    #[arg(long, env = "ADMIN", value_name = "IP:PORT", value_parser = address)]
    admin: Option<SocketAddr>,
}

impl Ambassador {
    pub(super) async fn run(self) -> Outcome {
        let mut signals = shutdown_signal();
        let config = self.config()?;
        let Self { ask, resolve, drain, admin, config: file, takeover, .. } = self;
        let reload = file.map(Reload::of).transpose()?;
        let mut takeover = match takeover {
            Some(path) => Some(Takeover::open(&path).await?),
            None => None,
        };
        let admin = match admin {
            Some(at) => Some(admin_listener(at, takeover.as_mut()).await?),
            None => None,
        };
        let discovery = Discovery::new(ask.settings()?.source(resolve))?;
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let ambassador = match &mut takeover {
            Some(takeover) => tokio::select! {
                taken = Running::take_over(&config, discovery, threads, takeover) => taken?,
                signal = signals.next() => return Ok(signal?),
            },
            None => Running::start(&config, discovery, threads)?,
        };
        let changes = Changes { reload, takeover: takeover.as_ref() };
        Ok(ambassador.serve_until(signals, drain, admin, changes).await?)
    }

    /// What was typed, as one value.
    fn config(&self) -> Result<Config, Usage> {
        let usage = |err: Error| Usage(err.to_string());
        if let Some(path) = &self.config {
            return Config::read(path).map_err(usage);
        }
        self.check_flags()?;
        let routes = self.routes.iter().map(|route| {
            let mut route = route.clone();
            route.options.connections_max = self.port_connections;
            route.options.connect_timeout = self.connect_timeout;
            route.options.idle_timeout = self.idle_timeout;
            route.options.linger = self.linger;
            route.options.sticky = self.sticky;
            route.options.proxy_protocol = self.proxy_protocol;
            route.options.allow.clone_from(&self.allow);
            route.options.trusts_callers = !self.untrusted_callers;
            route
        });
        let mut config = Config::new(routes.collect()).map_err(usage)?;
        config.connections_max = self.connections;
        Ok(config)
    }

    /// A flag for routes of which there is none would have no effect.
    fn check_flags(&self) -> Result<(), Usage> {
        let is_any =
            |is_for: fn(&Target) -> bool| self.routes.iter().any(|route| is_for(&route.target));
        let (is_by_host, is_http) =
            (is_any(|it| *it == Target::HttpByHost), is_any(Target::is_http));
        let is_tcp = is_any(|it| matches!(it, Target::Tcp(_)));
        for (flag, is_set, has_effect, example) in [
            ("--allow", self.allow.is_some(), is_by_host, "80=http:*"),
            ("--untrusted-callers", self.untrusted_callers, is_http, "80=http:web"),
            ("--proxy-protocol", self.proxy_protocol.is_some(), is_tcp, "6379=redis"),
        ] {
            if is_set && !has_effect {
                let text = format!("{flag} has no effect: expected a port like {example}");
                return Err(Usage(text));
            }
        }
        Ok(())
    }
}

fn connections(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|count| *count > 0).ok_or("expected at least 1 connection")
}

/// The admin listener: that of the predecessor, if it has one at this address.
async fn admin_listener(
    at: SocketAddr,
    takeover: Option<&mut Takeover>,
) -> std::io::Result<TcpListener> {
    let Some(takeover) = takeover else { return listen(at, "--admin (ADMIN)").await };
    let listener = match takeover.admin(at) {
        Some(listener) => TcpListener::from_std(listener)?,
        None => listen(at, "--admin (ADMIN)").await?,
    };
    takeover.keep_admin(&listener)?;
    Ok(listener)
}
