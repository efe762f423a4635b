//! A listener as a setting asks for it, or one sentence that says which setting to change.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

/// Listens on `address`, as `setting` (its flag, and its variable) says.
///
/// # Errors
/// The address is in use, is none of this machine, or is not for this user: names the setting.
pub async fn listen(address: SocketAddr, setting: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|err| refused(address, setting, &err))
}

/// Why nothing can listen there, and which setting to change.
pub fn refused(address: SocketAddr, setting: &str, err: &io::Error) -> io::Error {
    let text = match err.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{address} is in use: end what listens there, or choose another by {setting}")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{address} is no address of this machine: choose another by {setting}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{address} is not for this user: choose a port above 1023 by {setting}")
        }
        _ => format!("nothing can listen on {address}, which {setting} asks for: {err}"),
    };
    io::Error::new(err.kind(), text)
}
