//! Opens a TCP connection to an instance.

use std::{io, net::SocketAddr};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::super::{failed_try::TryError, tries::Deadline};
use crate::{Host, Instance, names::Names};

/// Connects before the deadline, which includes the lookup of a name. Small writes are sent at once (`TCP_NODELAY`). The addresses of a name
/// are tried in the order of the system, each with an equal share of the remaining time.
pub(crate) async fn dial(
    instance: &Instance,
    names: &Names,
    deadline: Deadline,
) -> Result<TcpStream, TryError> {
    match &instance.host {
        Host::Ip(ip) => connect(&[SocketAddr::new(*ip, instance.port)], deadline).await,
        Host::Name(name) => {
            let found = timeout_at(deadline.at, names.find(name)).await;
            let found =
                found.map_err(|_| TryError::NotConnected(deadline.span))?.map_err(|error| {
                    tracing::debug!(host = %name, %error, "host name not resolved");
                    TryError::Unresolved
                })?;
            let mut addresses = found.to_vec();
            addresses.iter_mut().for_each(|address| address.set_port(instance.port));
            connect(&addresses, deadline).await
        }
    }
}

/// Connects to the first address that accepts. If none does, returns the last error.
async fn connect(addresses: &[SocketAddr], deadline: Deadline) -> Result<TcpStream, TryError> {
    let mut why = TryError::Unresolved;
    for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let now = Instant::now();
        let share = deadline.at.saturating_duration_since(now) / u32::try_from(left).unwrap_or(1);
        why = match timeout_at(now + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return stream.set_nodelay(true).map(|()| stream).map_err(reason),
            Ok(Err(error)) => reason(error),
            Err(_) => TryError::NotConnected(deadline.span),
        };
    }
    Err(why)
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn reason(error: io::Error) -> TryError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => TryError::Refused,
        kind => TryError::Unreachable(kind),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// A listener whose backlog is full, so that no connection succeeds.
    async fn full() -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let mut queued = Vec::new();
        let connect = || TcpStream::connect(listener.local_addr().unwrap());
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(500), connect()).await {
            queued.push(stream.unwrap());
        }
        (listener, queued)
    }

    #[tokio::test]
    async fn each_address_of_a_host_is_tried() {
        let (silent, _queued) = full().await;
        let refusing = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [silent.local_addr().unwrap(), refusing, good.local_addr().unwrap()];
        let deadline = Deadline::after(Duration::from_secs(3), Instant::now());
        let stream = connect(&addresses, deadline).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good.local_addr().unwrap());
        let why = connect(&addresses[..2], deadline).await.unwrap_err();
        assert!(matches!(why, TryError::Refused), "{why:?}");
    }
}
