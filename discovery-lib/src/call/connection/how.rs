//! How the instances of a service are called. A connection is reused only for the same.

use tokio::net::TcpStream;

use super::{
    super::{
        CallOptions, failed_try::TryError, protocol::Protocol, tls::InstanceTls, tries::Deadline,
    },
    transport::Transport,
};
use crate::Host;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct How {
    pub(crate) protocol: Protocol,
    pub(crate) tls: Option<InstanceTls>,
}

impl How {
    pub(crate) fn of(options: &CallOptions) -> Self {
        let tls = options.tls.clone();
        Self { protocol: options.protocol.resolve(tls.is_some()), tls }
    }

    #[cfg(feature = "tls")]
    pub(super) async fn transport(
        &self,
        stream: TcpStream,
        host: &Host,
        deadline: Deadline,
    ) -> Result<Transport, TryError> {
        match &self.tls {
            None => Ok(Transport::plain(stream)),
            Some(tls) => Transport::tls(stream, tls, host, self.protocol, deadline).await,
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "with the feature it waits")]
    pub(super) async fn transport(
        &self,
        stream: TcpStream,
        _: &Host,
        _: Deadline,
    ) -> Result<Transport, TryError> {
        Ok(Transport::plain(stream))
    }
}
