//! The connections of this host to the agent, from the kernel's table of sockets.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{net::lookup_host, time::timeout};

use super::host_and_port;
use crate::look::Consul;

/// Deadline of the lookup of the agent's name.
const LOOKUP_WITHIN: Duration = Duration::from_millis(500);

/// States of a connection that counts at the agent: established, or closed by one side only.
const OPEN: [&str; 4] = ["01", "04", "05", "08"];

/// The number of open connections; 0 where it can't be known (unix sockets, other systems than Linux).
///
/// Both ends of a connection on this machine are in the table. A program that was killed may have left only the agent's end.
pub(super) async fn count(consul: &Consul) -> usize {
    let Some((host, port)) = host_and_port(consul) else { return 0 };
    let found = timeout(LOOKUP_WITHIN, lookup_host((host, port))).await;
    let agents: Vec<_> = found.into_iter().flatten().flatten().collect();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"]
        .map(|path| fs::read_to_string(path).unwrap_or_default());
    of(&agents, &tables)
}

fn of(agents: &[SocketAddr], tables: &[String]) -> usize {
    let sockets = || tables.iter().flat_map(|table| table.lines()).filter_map(open);
    let ours = sockets().filter(|(_, remote)| agents.contains(remote)).count();
    let theirs = sockets().filter(|(local, _)| agents.contains(local)).count();
    ours.max(theirs)
}

/// The local and the remote address of an open connection.
fn open(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut columns = line.split_whitespace().skip(1);
    let (local, remote) = (columns.next()?, columns.next()?);
    OPEN.contains(&columns.next()?).then_some(())?;
    Some((address(local)?, address(remote)?))
}

/// As `0100007F:2134`: words of the address in the machine's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok();
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        _ => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?].map(u32::to_ne_bytes);
            let octets: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2134 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:D431 0100007F:2134 01 00000000:00000000 00:00000000 00000000     0        0 2
   2: 0100007F:2134 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 3
   3: 0100007F:2134 0100007F:D432 08 00000000:00000000 00:00000000 00000000     0        0 4
   4: 0100007F:D433 0100007F:2134 06 00000000:00000000 00:00000000 00000000     0        0 5
   5: 0100007F:D434 0100007F:2135 01 00000000:00000000 00:00000000 00000000     0        0 6
";
    const TABLE6: &str = "\
   0: 0000000000000000FFFF00000100007F:2134 0000000000000000FFFF00000100007F:D435 01 0 0 0 0 0 0 7
   1: 00000000000000000000000001000000:D436 00000000000000000000000001000000:2134 01 0 0 0 0 0 0 8
";

    #[test]
    #[cfg(target_endian = "little")]
    fn connections_that_the_agent_holds_are_counted_once() {
        let tables = [TABLE.to_owned(), TABLE6.to_owned()];
        for (agent, open) in [("127.0.0.1:8500", 3), ("127.0.0.1:8501", 1), ("[::1]:8500", 1)] {
            assert_eq!(of(&[agent.parse().unwrap()], &tables), open, "{agent}");
        }
    }
}
