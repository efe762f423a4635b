//! Binds a listener; an error names the setting to change.

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

/// Binds `address`. `setting` is the flag and the variable that set it, for the error.
///
/// # Errors
/// The address is in use, does not belong to this machine, or needs privileges. The text names the setting.
pub async fn listen(address: SocketAddr, setting: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|err| refused(address, setting, &err))
}

/// Adds the setting to change to a bind error.
pub fn refused(address: SocketAddr, setting: &str, err: &io::Error) -> io::Error {
    let text = match err.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "{address} is in use: stop the process that listens on it, or set another address with {setting}"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{address} is not an address of this machine: set another with {setting}")
        }
        io::ErrorKind::PermissionDenied => {
            format!("permission denied for {address}: set a port above 1023 with {setting}")
        }
        _ => format!("cannot bind {address}, set by {setting}: {err}"),
    };
    io::Error::new(err.kind(), text)
}
