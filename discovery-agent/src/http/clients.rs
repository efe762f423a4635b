//! How many connections each client has: Consul's guard against one that leaks them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A client may have so many connections at once; one more is reset. Consul's `http_max_conns_per_client`.
pub(crate) const CONNECTIONS_PER_CLIENT_MAX: usize = 200;

/// Connections by client.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<HashMap<IpAddr, usize>>);

/// A connection's place. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    clients: Arc<Clients>,
    ip: IpAddr,
}

impl Clients {
    /// Takes a place; `None` when this client has all of its own.
    pub(crate) fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let mut clients = self.lock();
        let count = clients.entry(ip).or_default();
        if *count >= CONNECTIONS_PER_CLIENT_MAX {
            return None;
        }
        *count += 1;
        Some(Place { clients: Arc::clone(self), ip })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.clients.lock();
        if let Some(count) = clients.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_given_back_can_be_taken_again() {
        let clients = Arc::new(Clients::default());
        let ip = IpAddr::from([127, 0, 0, 1]);
        let mut places: Vec<_> =
            (0..CONNECTIONS_PER_CLIENT_MAX).map(|_| clients.take(ip).unwrap()).collect();
        assert!(clients.take(ip).is_none());
        assert!(clients.take(IpAddr::from([127, 0, 0, 2])).is_some(), "another client");
        places.pop();
        assert!(clients.take(ip).is_some());
        places.clear();
        assert!(clients.lock().is_empty(), "who has no connection is forgotten");
    }
}
