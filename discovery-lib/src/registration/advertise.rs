//! The published address of an instance: the advertised one, or else one that is derived from the listener and the route to the agent.

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
    names::Names,
};

/// The deadline of the look-up of the agent's name.
const LOOKUP_WITHIN: Duration = Duration::from_secs(5);

/// The address to publish, or a part of it: `host`, `host:port` or `:port`. The rest is derived when the instance registers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advertise {
    /// None: the bound address; if that is unspecified (`0.0.0.0`, `[::]`), the local address on the route to the agent; if that is loopback or
    /// the agent has a unix socket, none, so that callers use the address of the agent's node. It is derived again with each look: when the
    /// address of this machine changes, the instance is registered again.
    pub host: Option<Host>,
    /// None: the bound port.
    pub port: Option<u16>,
}

impl FromStr for Advertise {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (host, port) = split_host_port(text)
            .ok_or_else(|| Error::new(Kind::Setting, "expected host, host:port or :port"))?;
        if host.as_ref().is_some_and(|host| matches!(host, Host::Ip(ip) if ip.is_unspecified())) {
            let text = "others can't reach it: advertise an address of this machine";
            return Err(Error::new(Kind::Setting, text));
        }
        Ok(Self { host, port })
    }
}

impl Advertise {
    /// The place of a listener at `local`, for this agent. Of several possible addresses, the `current` one is kept.
    ///
    /// # Errors
    /// There is no route to the agent now, or no address for its name ([`Error::is_retryable`]); or none of the agent's addresses is of the
    /// family at which the listener accepts, so that no caller would reach it ([`Error::is_setting`]).
    pub(super) async fn place(
        &self,
        local: SocketAddr,
        agent: &Address,
        names: &Names,
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
        let agents = timeout(LOOKUP_WITHIN, addresses(names, host, *port))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|err| no_route(agent).because(err))?;
        chosen(local, agent, routes(&agents), current)
    }

    /// Checks without a look-up that callers can reach a listener at `local`.
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

/// Whether a listener at the unspecified address of its family accepts connections to `to`. One at `[::]` accepts IPv4 too, unless the system is
/// configured otherwise, which the probe detects.
pub(super) fn accepts(bound: IpAddr, to: IpAddr) -> bool {
    bound.is_ipv6() || to.is_ipv4()
}

/// The addresses of a host, with this port.
///
/// # Errors
/// The look-up of its name failed.
pub(super) async fn addresses(
    names: &Names,
    host: &Host,
    port: u16,
) -> io::Result<Vec<SocketAddr>> {
    match host {
        Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, port)]),
        Host::Name(name) => {
            let found = names.find(name).await.map_err(|err| io::Error::new(err.kind(), err))?;
            Ok(found.iter().map(|address| SocketAddr::new(address.ip(), port)).collect())
        }
    }
}

/// The place, from the addresses of this machine on the routes to the agent.
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

/// Others would connect over IPv6, as to the agent, to a listener on IPv4.
pub(super) fn other_family(local: SocketAddr, reached: impl fmt::Display) -> Error {
    let port = local.port();
    let text = format!(
        "{local} accepts IPv4 only, but {reached} is reached over IPv6, and so would be this instance: listen on [::]:{port}, \
         which accepts both, or advertise an address that others can reach"
    );
    Error::new(Kind::Setting, text)
}

fn routes(agents: &[SocketAddr]) -> Vec<io::Result<IpAddr>> {
    agents.iter().map(|agent| on_the_route_to(*agent)).collect()
}

/// The address of this machine on the route to another, from a connected UDP socket; nothing is sent.
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
    fn advertised_addresses_are_parsed() {
        for (text, read) in [
            ("web.example", Ok((Some("web.example"), None))),
            ("10.0.0.1:80", Ok((Some("10.0.0.1"), Some(80)))),
            ("[fd00::1]:80", Ok((Some("fd00::1"), Some(80)))),
            (":80", Ok((None, Some(80)))),
            ("0.0.0.0:80", Err("others can't reach it: advertise an address of this machine")),
            ("::", Err("others can't reach it: advertise an address of this machine")),
            ("http://web", Err("expected host, host:port or :port")),
            ("", Err("expected host, host:port or :port")),
        ] {
            let read = read
                .map(|(host, port)| Advertise { host: host.map(Host::from), port })
                .map_err(str::to_owned);
            assert_eq!(text.parse::<Advertise>().map_err(|err| err.to_string()), read, "{text:?}");
        }
    }

    #[tokio::test]
    async fn the_place_is_advertised_or_bound_or_on_the_route() {
        let near = || "127.0.0.1:8500".parse::<Address>().unwrap();
        let unix = || "unix:///run/consul.sock".parse::<Address>().unwrap();
        let at = |ip: &str| Place::At(ip.parse().unwrap());
        for (host, local, agent, place) in [
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
            let advertise = Advertise { host: host.map(Host::from), port: None };
            let found = advertise
                .place(local.parse().unwrap(), &agent, &Names::default(), None)
                .await
                .unwrap();
            assert_eq!(found, place, "{host:?} {local} {agent}");
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
            // Of several possible addresses, the published one is kept.
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
        for (host, local, agent, refused) in [
            (None, "0.0.0.0:80", "[fd00::1]:8500", true),
            (Some("web"), "0.0.0.0:80", "[fd00::1]:8500", false),
            (None, "10.0.0.2:80", "[fd00::1]:8500", false),
            (None, "[::]:80", "[fd00::1]:8500", false),
            (None, "[::]:80", "10.0.0.1:8500", false),
            (None, "0.0.0.0:80", "[::1]:8500", false),
            (None, "0.0.0.0:80", "[::ffff:10.0.0.1]:8500", false),
            (None, "0.0.0.0:80", "consul:8500", false),
        ] {
            let advertise = Advertise { host: host.map(Host::from), port: None };
            let checked = advertise.validate(local.parse().unwrap(), &agent.parse().unwrap());
            assert_eq!(checked.is_err(), refused, "{host:?} {local} {agent}: {checked:?}");
        }
    }

    #[tokio::test]
    async fn the_error_names_an_agent_without_an_address() {
        let agent = "no-such-host.invalid:8500".parse::<Address>().unwrap();
        let local = "0.0.0.0:80".parse().unwrap();
        let err =
            Advertise::default().place(local, &agent, &Names::default(), None).await.unwrap_err();
        assert!(err.to_string().contains("no-such-host.invalid:8500"), "{err}");
        assert!(err.is_retryable(), "{err:?}");
    }
}
