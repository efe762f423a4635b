//! What TLS needs to know of a server, and what went wrong with it.

use std::{error::Error as StdError, io};

use tokio_rustls::rustls::{Error, pki_types::ServerName};

use crate::Host;

/// The name that the certificate of a host must have. None if no certificate can have it.
pub(crate) fn server_name(host: &Host) -> Option<ServerName<'static>> {
    match host {
        Host::Ip(ip) => Some(ServerName::IpAddress((*ip).into())),
        Host::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).ok(),
    }
}

/// The error of TLS among an error and its causes.
pub(crate) fn cause<'a>(err: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    std::iter::successors(Some(err), |&err| err.source()).find_map(|err| {
        // An io::Error is not the cause of itself: what it wraps is hidden from `source`.
        let wrapped = err.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped.and_then(|err| err.downcast_ref()).or(err.downcast_ref::<Error>())
    })
}
