//! The PROXY header, with which an instance gets the address of the client.
//! <https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>

use std::{
    io::Write as _,
    net::{IpAddr, SocketAddr},
};

use crate::{ProxyProtocol, stream::Ends};

/// The longest header: that of version 1 has 107 bytes, of version 2 with IPv6 addresses 52.
const LENGTH_MAX: usize = 107;
/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const VERSION_2_PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The header for a connection with these ends; without ends, as of a unix socket, one that names no address.
pub(super) fn header(version: ProxyProtocol, ends: Option<Ends>) -> Vec<u8> {
    let mut header = Vec::with_capacity(LENGTH_MAX);
    match version {
        ProxyProtocol::V1 => version_1(&mut header, ends),
        ProxyProtocol::V2 => version_2(&mut header, ends),
    }
    header
}

fn version_1(header: &mut Vec<u8>, ends: Option<Ends>) {
    let written = match ends {
        None => header.write_all(b"PROXY UNKNOWN\r\n"),
        Some(Ends { peer, local }) => {
            let family = if peer.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (peer.ip(), local.ip());
            write!(header, "PROXY {family} {from} {to} {} {}\r\n", peer.port(), local.port())
        }
    };
    written.expect("a Vec takes all bytes");
}

fn version_2(header: &mut Vec<u8>, ends: Option<Ends>) {
    header.extend(SIGNATURE);
    header.push(VERSION_2_PROXY);
    let Some(Ends { peer, local }) = ends else {
        header.extend([UNSPECIFIED, 0, 0]);
        return;
    };
    let addresses = [bytes(peer), bytes(local)].concat();
    header.push(if peer.is_ipv4() { TCP_OVER_IPV4 } else { TCP_OVER_IPV6 });
    let length = addresses.len() + 2 * size_of::<u16>();
    header
        .extend(u16::try_from(length).expect("two addresses have at most 36 bytes").to_be_bytes());
    header.extend(addresses);
    header.extend(peer.port().to_be_bytes());
    header.extend(local.port().to_be_bytes());
}

fn bytes(address: SocketAddr) -> Vec<u8> {
    match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(peer: &str, local: &str) -> Option<Ends> {
        Some(Ends { peer: peer.parse().unwrap(), local: local.parse().unwrap() })
    }

    #[test]
    fn version_1_is_a_line() {
        for (ends, line) in [
            (ends("10.0.0.9:40000", "10.0.0.1:80"), "PROXY TCP4 10.0.0.9 10.0.0.1 40000 80\r\n"),
            (ends("[fe80::1]:1", "[::1]:65535"), "PROXY TCP6 fe80::1 ::1 1 65535\r\n"),
            (None, "PROXY UNKNOWN\r\n"),
        ] {
            assert_eq!(header(ProxyProtocol::V1, ends), line.as_bytes());
        }
    }

    #[test]
    fn version_2_is_binary() {
        let signature = &b"\r\n\r\n\0\r\nQUIT\n"[..];
        let v4 = [&[0x21, 0x11, 0, 12, 10, 0, 0, 9, 10, 0, 0, 1][..], &[0x9c, 0x40, 0, 80]];
        let (one, mut two) = ([0; 15], [0; 16]);
        two[15] = 2;
        let v6 = [&[0x21, 0x21, 0, 36][..], &one, &[1], &two, &[0, 1, 0xff, 0xff]];
        for (ends, rest) in [
            (ends("10.0.0.9:40000", "10.0.0.1:80"), v4.concat()),
            (ends("[::1]:1", "[::2]:65535"), v6.concat()),
            (None, vec![0x21, 0, 0, 0]),
        ] {
            assert_eq!(header(ProxyProtocol::V2, ends), [signature, &rest].concat());
        }
    }
}
