//! Where others find an instance: what it was told to say, else what can be found out.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use tokio::{net::UdpSocket, time::timeout};

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
    /// the agent is behind a unix socket, none at all, so that Consul says its node's.
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
    /// The host that a listener at `local` says to this agent.
    ///
    /// # Errors
    /// There is no route to the agent now, or no address for its name.
    pub(super) async fn host(
        &self,
        local: SocketAddr,
        agent: &Address,
    ) -> Result<Option<Host>, Error> {
        if self.host.is_some() {
            return Ok(self.host.clone());
        }
        let bound = local.ip().to_canonical();
        if !bound.is_unspecified() && !bound.is_loopback() {
            return Ok(Some(Host::Ip(bound)));
        }
        let Address::Tcp { host, port, .. } = agent else { return Ok(None) };
        let from = timeout(LOOKUP_WITHIN, on_the_route_to(host, *port))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|err| {
                let text =
                    format!("no route to the agent at {agent}, so no address to say to others");
                Error::new(Kind::Unreachable, text).because(err)
            })?;
        Ok((!from.is_loopback()).then_some(Host::Ip(from)))
    }
}

/// This machine's address on the way to a host. A connected UDP socket knows it; nothing is sent.
async fn on_the_route_to(host: &Host, port: u16) -> io::Result<IpAddr> {
    let to = match host {
        Host::Ip(ip) => SocketAddr::new(*ip, port),
        Host::Name(name) => tokio::net::lookup_host((&**name, port))
            .await?
            .next()
            .ok_or_else(|| io::Error::other("the name has no address"))?,
    };
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
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
    async fn the_host_is_what_was_told_or_bound_or_is_on_the_route() {
        let near = || "127.0.0.1:8500".parse::<Address>().unwrap();
        let unix = || "unix:///run/consul.sock".parse::<Address>().unwrap();
        for (told, local, agent, host) in [
            (Some("web"), "0.0.0.0:80", near(), Some("web")),
            (None, "10.1.2.3:80", near(), Some("10.1.2.3")),
            (None, "[::ffff:10.1.2.3]:80", unix(), Some("10.1.2.3")),
            (None, "0.0.0.0:80", near(), None),
            (None, "[::]:80", near(), None),
            (None, "127.0.0.1:80", near(), None),
            (None, "0.0.0.0:80", unix(), None),
        ] {
            let advertise = Advertise { host: told.map(Host::from), port: None };
            let found = advertise.host(local.parse().unwrap(), &agent).await.unwrap();
            assert_eq!(found, host.map(Host::from), "{told:?} {local} {agent}");
        }
    }

    #[tokio::test]
    async fn an_agent_without_an_address_is_said() {
        let agent = "no-such-host.invalid:8500".parse::<Address>().unwrap();
        let local = "0.0.0.0:80".parse().unwrap();
        let err = Advertise::default().host(local, &agent).await.unwrap_err();
        assert!(err.to_string().contains("no-such-host.invalid:8500"), "{err}");
    }
}
