//! The handshake with an agent.

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::{
    super::{Address, Scheme, address::split_host_port, connect::ConnectError, stream::Stream},
    refusal::Refusal,
};
use crate::{
    Error, Tls,
    error::Kind,
    tls::{Current, server_name},
};

/// What TLS needs beside a stream.
#[derive(Debug)]
pub(in crate::agent) struct Secure {
    name: ServerName<'static>,
    current: Current,
}

impl Secure {
    /// None for an address without TLS.
    ///
    /// # Errors
    /// The name of the server is none.
    pub(in crate::agent) fn of(address: &Address, tls: &Tls) -> Result<Option<Self>, Error> {
        let Address::Tcp { scheme: Scheme::Https, host, .. } = address else { return Ok(None) };
        let name = match &tls.server_name {
            // Consul's own command ignores a port, too.
            Some(name) => split_host_port(name).and_then(|(host, _)| host),
            None => Some(host.clone()),
        };
        let name = name.and_then(|host| server_name(&host)).ok_or_else(|| {
            let shown = tls.server_name.clone().unwrap_or_else(|| host.to_string());
            let text = format!(
                "no certificate can have the name {shown:?}: set CONSUL_TLS_SERVER_NAME to a host name or an IP address"
            );
            Error::new(Kind::Setting, text)
        })?;
        Ok(Some(Self { name, current: Current::new(tls.clone()) }))
    }

    /// The handshake, with the certificates that the files have now: if they can't be used, nothing is connected to.
    pub(in crate::agent) async fn connect(
        &self,
        stream: impl Future<Output = io::Result<TcpStream>>,
    ) -> Result<Stream, ConnectError> {
        let config = self.current.config().await.map_err(ConnectError::Setting)?;
        match TlsConnector::from(config).connect(self.name.clone(), stream.await?).await {
            Ok(stream) => Ok(Stream::new(stream)),
            Err(err) => Err(match self.refusal(&err) {
                Some(reason) => ConnectError::NoTls(reason),
                None => ConnectError::Unreachable(format!("the TLS handshake ended early: {err}")),
            }),
        }
    }

    /// Why a handshake or the exchange after it failed, if TLS is the reason.
    pub(in crate::agent) fn refusal(
        &self,
        err: &(dyn std::error::Error + 'static),
    ) -> Option<String> {
        Refusal(self.current.tls()).of(err)
    }
}
