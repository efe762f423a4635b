//! In place of `secure` without the feature `tls`: an address that needs TLS is an error.

use std::io;

use tokio::net::TcpStream;

use super::super::{Address, connect::ConnectError, stream::Stream};
use crate::{Error, Tls};

/// There is none.
#[derive(Debug)]
pub(in crate::agent) enum Secure {}

impl Secure {
    /// # Errors
    /// The address needs TLS.
    pub(in crate::agent) fn of(address: &Address, _: &Tls) -> Result<Option<Self>, Error> {
        address.check().map(|()| None)
    }

    #[expect(clippy::unused_async, reason = "with the feature it waits")]
    pub(in crate::agent) async fn connect(
        &self,
        _: impl Future<Output = io::Result<TcpStream>>,
    ) -> Result<Stream, ConnectError> {
        match *self {}
    }

    pub(in crate::agent) fn refusal(
        &self,
        _: &(dyn std::error::Error + 'static),
    ) -> Option<String> {
        match *self {}
    }
}
