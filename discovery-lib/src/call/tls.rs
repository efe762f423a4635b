//! TLS to the instances of a service. Its settings and files: [`crate::tls`].

use std::{fmt, sync::Arc};

#[cfg(feature = "tls")]
use tokio::time::timeout_at;
#[cfg(feature = "tls")]
use tokio_rustls::{TlsConnector, client::TlsStream};

#[cfg(feature = "tls")]
use super::{TlsError, TryError, connection::Socket, protocol::Protocol, tries::Deadline};
use crate::{Error, Tls, error::Kind, tls::NO_TLS};
#[cfg(feature = "tls")]
use crate::{
    Host,
    tls::{Current, cause, server_name},
};

/// The TLS of the calls to a service. Clones share what was made of the files.
#[derive(Clone)]
pub(crate) struct InstanceTls(Arc<Shared>);

struct Shared {
    tls: Tls,
    #[cfg(feature = "tls")]
    current: Current,
}

impl InstanceTls {
    /// Reads nothing yet.
    pub(super) fn new(tls: Tls) -> Self {
        #[cfg(feature = "tls")]
        let current = Current::new(tls.clone());
        Self(Arc::new(Shared {
            tls,
            #[cfg(feature = "tls")]
            current,
        }))
    }

    /// # Errors
    ///
    /// The name of the server is none, or this library was compiled without TLS.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.0.tls.server_name {
            _ if !cfg!(feature = "tls") => Err(Error::new(Kind::Setting, NO_TLS)),
            #[cfg(feature = "tls")]
            Some(name) if server_name(&name.as_str().into()).is_none() => {
                let text = format!(
                    "no certificate can have the name {name:?}: server_name of the call options must be a host name or an IP address"
                );
                Err(Error::new(Kind::Setting, text))
            }
            _ => Ok(()),
        }
    }

    /// Reads the files before the first call.
    ///
    /// # Errors
    ///
    /// They are not usable, and never have been. The error names the file.
    #[cfg(feature = "tls")]
    pub(super) async fn ready(&self) -> Result<(), Error> {
        self.0.current.ready().await
    }

    /// The handshake with an instance, with the certificates that the files have now.
    #[cfg(feature = "tls")]
    pub(super) async fn connect(
        &self,
        host: &Host,
        socket: Socket,
        protocol: Protocol,
        deadline: Deadline,
    ) -> Result<TlsStream<Socket>, TryError> {
        let host = self.0.tls.server_name.as_deref().map_or_else(|| host.clone(), Host::from);
        let name = server_name(&host).ok_or(TryError::Tls(TlsError::OtherName))?;
        let offered = protocol.offered().iter().map(|it| it.to_vec()).collect();
        let handshake = async {
            let config = self.0.current.config().await;
            let config = config.map_err(|_| TryError::Tls(TlsError::Failed))?;
            let connected =
                TlsConnector::from(config).with_alpn(offered).connect(name, socket).await;
            connected.map_err(|error| {
                tracing::debug!(%host, %error, "no TLS connection");
                cause(&error).map_or(TryError::Closed, |cause| TryError::Tls(TlsError::of(cause)))
            })
        };
        let connected = timeout_at(deadline.at, handshake).await;
        connected.map_err(|_| TryError::NotConnected(deadline.span))?
    }
}

impl PartialEq for InstanceTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.tls == other.0.tls
    }
}

impl Eq for InstanceTls {}

impl fmt::Debug for InstanceTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.tls.fmt(f)
    }
}
