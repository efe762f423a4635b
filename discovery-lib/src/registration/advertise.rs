//! Where others find an instance: what it was told to say, else what can be found out.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    str::FromStr,
    time::Duration,
};

use tokio::time::timeout;

use super::machine::Place;
use crate::{
    Host,
    agent::{Address, split_host_port},
    error::{Error, Kind},
};

/// The agent's name must be resolved in this time.
const LOOKUP_WITHIN: Duration = Duration::from_secs(5);

/// The part of its place that an instance was told: `host`, `host:port` or `:port`. The rest is found out when it registers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advertise {
    /// None: the address that it is bound to; if that is any address, the local one on the route to the agent; if that is loopback or
    /// the agent is behind a unix socket, none at all, so that Consul uses that of its node. It is derived again for as long as the
    /// instance is registered: when this machine's address changes, the instance is registered anew.
    pub host: Option<Host>,
    /// None: the bound port.
    pub port: Option<u16>,
}

impl FromStr for Advertise {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (host, port) = split_host_port(text)
            .ok_or_else(|| Error::new(Kind::Setting, "it takes host, host:port or :port"))?;
        if host.as_ref().is_some_and(|host| matches!(host, Host::Ip(ip) if ip.is_unspecified())) {
            let text = "no address at which others could find it: say one of this machine's own";
            return Err(Error::new(Kind::Setting, text));
        }
        Ok(Self { host, port })
    }
}

impl Advertise {
    /// What a listener at `local` publishes at this agent. Where several addresses would do, the `current` one stays.
    ///
    /// # Errors
    /// There is no route to the agent now, or no address for its name ([`Error::is_retryable`]); or none of the agent's addresses is of the
    /// family at which the listener accepts, so that nobody would reach it ([`Error::is_setting`]).
    pub(super) async fn place(
        &self,
        local: SocketAddr,
        agent: &Address,
        current: Option<Place>,
    ) -> Result<Place, Error> {
        let bound = local.ip().to_canonical();
        if self.host.is_some() {
            return Ok(Place::Advertised);
        }
        if !bound.is_unspecified() {
            return Ok(Place::At(bound));
        }
        let Address::Tcp { host, port, .. } = agent else { return Ok(Place::Node) };
        let agents = timeout(LOOKUP_WITHIN, addresses(host, *port))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|err| no_route(agent).because(err))?;
        chosen(local, agent, routes(&agents), current)
    }

    /// Whether it can be known already that nobody would reach a listener at `local`.
    ///
    /// # Errors
    /// As [`Self::place`], for an agent whose address needs no look-up.
    pub(super) fn validate(&self, local: SocketAddr, agent: &Address) -> Result<(), Error> {
        let Address::Tcp { host: Host::Ip(ip), .. } = agent else { return Ok(()) };
        let bound = local.ip().to_canonical();
        let fits = self.host.is_some()
            || !bound.is_unspecified()
            || ip.to_canonical().is_loopback()
            || accepts(bound, ip.to_canonical());
        if fits { Ok(()) } else { Err(other_family(local, the_agent(agent))) }
    }
}

/// Whether a listener at any address of its family takes connections to `to`. One at `[::]` takes IPv4 too, unless the system was told
/// otherwise, which the probe finds out.
pub(super) fn accepts(bound: IpAddr, to: IpAddr) -> bool {
    bound.is_ipv6() || to.is_ipv4()
}

/// The place, from this machine's own addresses on the routes to the agent's.
fn chosen(
    local: SocketAddr,
    agent: &Address,
    own: Vec<io::Result<IpAddr>>,
    current: Option<Place>,
) -> Result<Place, Error> {
    let mut failure = None;
    let mut places = Vec::new();
    let mut of_other_family = false;
    for route in own {
        match route {
            Ok(ip) if ip.is_loopback() => places.push(Place::Node),
            Ok(ip) if accepts(local.ip().to_canonical(), ip) => places.push(Place::At(ip)),
            Ok(_) => of_other_family = true,
            Err(err) => failure = Some(err),
        }
    }
    let stays = current.filter(|place| places.contains(place));
    match (stays.or(places.first().copied()), failure) {
        (Some(place), _) => Ok(place),
        (None, _) if of_other_family => Err(other_family(local, the_agent(agent))),
        (None, Some(err)) => Err(no_route(agent).because(err)),
        (None, None) => Err(no_route(agent)),
    }
}

fn no_route(agent: &Address) -> Error {
    let text = format!("no route to the agent at {agent}, so no address to publish");
    Error::new(Kind::Unreachable, text)
}

fn the_agent(agent: &Address) -> String {
    format!("the agent at {agent}")
}

/// What is reached over IPv6 tells how others would look for what listens on IPv4.
pub(super) fn other_family(local: SocketAddr, reached: impl fmt::Display) -> Error {
    let port = local.port();
    let text = format!(
        "{local} accepts IPv4 alone, but {reached} is reached over IPv6, and so would be this instance: listen on [::]:{port}, \
         which takes both, or say by an advertised address where others reach it"
    );
    Error::new(Kind::Setting, text)
}

async fn addresses(host: &Host, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host {
        Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, port)]),
        Host::Name(name) => Ok(tokio::net::lookup_host((&**name, port)).await?.collect()),
    }
}

fn routes(agents: &[SocketAddr]) -> Vec<io::Result<IpAddr>> {
    agents.iter().map(|agent| on_the_route_to(*agent)).collect()
}

/// This machine's address on the way to another. A connected UDP socket knows it; nothing is sent.
fn on_the_route_to(to: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    Ok(socket.local_addr()?.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read() {
        for (text, read) in [
            ("web.example", Ok((Some("web.example"), None))),
            ("10.0.0.1:80", Ok((Some("10.0.0.1"), Some(80)))),
            ("[fd00::1]:80", Ok((Some("fd00::1"), Some(80)))),
            (":80", Ok((None, Some(80)))),
            (
                "0.0.0.0:80",
                Err("no address at which others could find it: say one of this machine's own"),
            ),
            ("::", Err("no address at which others could find it: say one of this machine's own")),
            ("http://web", Err("it takes host, host:port or :port")),
            ("", Err("it takes host, host:port or :port")),
        ] {
            let read = read
                .map(|(host, port)| Advertise { host: host.map(Host::from), port })
                .map_err(str::to_owned);
            assert_eq!(text.parse::<Advertise>().map_err(|err| err.to_string()), read, "{text:?}");
        }
    }

    #[tokio::test]
    async fn the_place_is_what_was_told_or_bound_or_is_on_the_route() {
        let near = || "127.0.0.1:8500".parse::<Address>().unwrap();
        let unix = || "unix:///run/consul.sock".parse::<Address>().unwrap();
        let at = |ip: &str| Place::At(ip.parse().unwrap());
        for (told, local, agent, place) in [
            (Some("web"), "0.0.0.0:80", near(), Place::Advertised),
            (None, "10.1.2.3:80", near(), at("10.1.2.3")),
            (None, "[::ffff:10.1.2.3]:80", unix(), at("10.1.2.3")),
            (None, "127.0.0.1:80", near(), at("127.0.0.1")),
            (None, "127.0.0.2:80", near(), at("127.0.0.2")),
            (None, "[::1]:80", near(), at("::1")),
            (None, "127.0.0.2:80", unix(), at("127.0.0.2")),
            (None, "0.0.0.0:80", near(), Place::Node),
            (None, "[::]:80", near(), Place::Node),
            (None, "0.0.0.0:80", unix(), Place::Node),
        ] {
            let advertise = Advertise { host: told.map(Host::from), port: None };
            let found = advertise.place(local.parse().unwrap(), &agent, None).await.unwrap();
            assert_eq!(found, place, "{told:?} {local} {agent}");
        }
    }

    #[test]
    fn an_address_is_published_at_which_the_listener_accepts() {
        let agent = "consul:8500".parse::<Address>().unwrap();
        let at = |ip: &str| Place::At(ip.parse().unwrap());
        let (v4, v6, other) = ("10.0.0.2", "fd00::2", "10.9.0.2");
        for (local, own, current, place) in [
            ("0.0.0.0:80", &[v4][..], None, Some(at(v4))),
            ("0.0.0.0:80", &[v6, v4], None, Some(at(v4))),
            ("0.0.0.0:80", &[v6], None, None),
            ("[::]:80", &[v6, v4], None, Some(at(v6))),
            ("[::]:80", &[v4], None, Some(at(v4))),
            ("0.0.0.0:80", &["127.0.0.1"], None, Some(Place::Node)),
            ("0.0.0.0:80", &["::1"], None, Some(Place::Node)),
            // Of several that would do, the one that is published stays.
            ("0.0.0.0:80", &[v4, other], Some(at(other)), Some(at(other))),
            ("0.0.0.0:80", &[v4], Some(at(other)), Some(at(v4))),
        ] {
            let own = own.iter().map(|ip| Ok(ip.parse().unwrap())).collect();
            let found = chosen(local.parse().unwrap(), &agent, own, current);
            assert!(found.as_ref().err().is_none_or(Error::is_setting), "{found:?}");
            assert_eq!(found.ok(), place, "{local} {current:?}");
        }
    }

    #[test]
    fn a_listener_of_the_other_family_is_refused_at_the_start() {
        for (told, local, agent, refused) in [
            (None, "0.0.0.0:80", "[fd00::1]:8500", true),
            (Some("web"), "0.0.0.0:80", "[fd00::1]:8500", false),
            (None, "10.0.0.2:80", "[fd00::1]:8500", false),
            (None, "[::]:80", "[fd00::1]:8500", false),
            (None, "[::]:80", "10.0.0.1:8500", false),
            (None, "0.0.0.0:80", "[::1]:8500", false),
            (None, "0.0.0.0:80", "[::ffff:10.0.0.1]:8500", false),
            (None, "0.0.0.0:80", "consul:8500", false),
        ] {
            let advertise = Advertise { host: told.map(Host::from), port: None };
            let checked = advertise.validate(local.parse().unwrap(), &agent.parse().unwrap());
            assert_eq!(checked.is_err(), refused, "{told:?} {local} {agent}: {checked:?}");
        }
    }

    #[tokio::test]
    async fn an_agent_without_an_address_is_said() {
        let agent = "no-such-host.invalid:8500".parse::<Address>().unwrap();
        let local = "0.0.0.0:80".parse().unwrap();
        let err = Advertise::default().place(local, &agent, None).await.unwrap_err();
        assert!(err.to_string().contains("no-such-host.invalid:8500"), "{err}");
        assert!(err.is_retryable(), "{err:?}");
    }
}
