//! TLS to the agent: its settings, and with the feature `tls` the connections.
//!
//! The files are read for each new connection, so that they can be replaced while a program runs. While one of them is missing, half written
//! or does not match the others, the last good ones are used. Open connections stay as they are.

#[cfg(feature = "tls")]
mod config;
#[cfg(feature = "tls")]
mod current;
#[cfg(feature = "tls")]
mod files;
#[cfg(feature = "tls")]
mod refusal;
#[cfg(feature = "tls")]
mod secure;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod secure;
#[cfg(test)]
#[cfg(feature = "tls")]
mod tests;
#[cfg(feature = "tls")]
mod unverified;

use std::path::PathBuf;

pub(super) use secure::Secure;

/// How an agent is reached over TLS. It matters only if its address is `https://`. Default: the system's certificate authorities, no client
/// certificate.
///
/// All files are PEM, and are read for each new connection. While they can't be used, the last good ones are; without those, requests fail.
///
/// ```
/// use discovery::agent::Tls;
///
/// let tls = Tls::default().ca_file("/etc/consul/ca.pem").client("/etc/consul/web.pem", "/etc/consul/web-key.pem");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// `CONSUL_CACERT`: the certificates of the authorities that may sign the agent's certificate, instead of the system's (which are read once).
    pub ca_file: Option<PathBuf>,
    /// `CONSUL_CAPATH`: a directory of such files, with its subdirectories. Not used if there is a `ca_file`.
    pub ca_path: Option<PathBuf>,
    /// `CONSUL_CLIENT_CERT` and `CONSUL_CLIENT_KEY`: for agents that verify their clients.
    pub client: Option<ClientCertificate>,
    /// `CONSUL_TLS_SERVER_NAME`: the name that the agent's certificate must have, and that is sent as SNI. None: the host of the address.
    pub server_name: Option<String>,
    /// `CONSUL_HTTP_SSL_VERIFY`: whether the agent's certificate is verified.
    pub verification: Verification,
}

/// A certificate of this client, with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCertificate {
    /// The file with the certificate, and with those of intermediate authorities after it.
    pub cert: PathBuf,
    /// The file with its private key, not encrypted: PKCS #8, PKCS #1 or SEC1.
    pub key: PathBuf,
}

impl ClientCertificate {
    /// A certificate and its key.
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { cert: cert.into(), key: key.into() }
    }
}

/// What is verified of the agent's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// Its authority, its name and its time.
    #[default]
    Full,
    /// Nothing: whoever is between this program and the agent can read the ACL token and change answers.
    None,
}

impl Tls {
    /// Trusts the authorities of this file, instead of the system's.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// Trusts the authorities of the files in this directory, instead of the system's.
    #[must_use]
    pub fn ca_path(mut self, directory: impl Into<PathBuf>) -> Self {
        self.ca_path = Some(directory.into());
        self
    }

    /// Sends this certificate to the agent.
    #[must_use]
    pub fn client(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.client = Some(ClientCertificate::new(cert, key));
        self
    }

    /// Expects this name in the agent's certificate.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Does not verify the agent's certificate ([`Verification::None`]).
    #[must_use]
    pub fn unverified(mut self) -> Self {
        self.verification = Verification::None;
        self
    }
}
