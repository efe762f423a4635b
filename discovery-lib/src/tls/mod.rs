//! TLS to the agent and to instances: the settings, and with the feature `tls` their files.
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
mod name;
#[cfg(feature = "tls")]
mod unverified;

use std::path::PathBuf;

#[cfg(feature = "tls")]
pub(crate) use current::Current;
#[cfg(feature = "tls")]
pub(crate) use name::{cause, server_name};

/// The error for a setting that needs TLS.
pub(crate) const NO_TLS: &str =
    "TLS needs the feature `tls` of discovery-lib, which this program was built without";

/// How a server is reached over TLS: the agent, if its address is `https://` ([`AgentSettings::tls`](crate::agent::AgentSettings)), or the
/// instances of a service ([`CallOptions::tls`](crate::CallOptions::tls)). Default: the system's certificate authorities, no client
/// certificate.
///
/// All files are PEM, and are read for each new connection. While they can't be used, the last good ones are; without those, requests fail.
///
/// ```
/// use discovery::Tls;
///
/// let tls = Tls::default().ca_file("/etc/consul/ca.pem").client("/etc/consul/web.pem", "/etc/consul/web-key.pem");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tls {
    /// The certificates of the authorities that may sign the server's certificate, instead of the system's (which are read once). Of the agent:
    /// `CONSUL_CACERT`.
    pub ca_file: Option<PathBuf>,
    /// A directory of such files, with its subdirectories. Not used if there is a `ca_file`. Of the agent: `CONSUL_CAPATH`.
    pub ca_path: Option<PathBuf>,
    /// For servers that verify their clients. For the agent: `CONSUL_CLIENT_CERT` and `CONSUL_CLIENT_KEY`.
    pub client: Option<ClientCertificate>,
    /// The name that the server's certificate must have, and that is sent as SNI. None: the host of the address; an IP address must then be in
    /// the certificate, as a subject alternative name. Of the agent: `CONSUL_TLS_SERVER_NAME`.
    pub server_name: Option<String>,
    /// Whether the server's certificate is verified. Of the agent: `CONSUL_HTTP_SSL_VERIFY`.
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

/// What is verified of a server's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verification {
    /// Its authority, its name and its time.
    #[default]
    Full,
    /// Nothing: whoever is between this program and the server can read what is sent, as the ACL token, and change answers.
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

    /// Sends this certificate to the server.
    #[must_use]
    pub fn client(mut self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.client = Some(ClientCertificate::new(cert, key));
        self
    }

    /// Expects this name in the server's certificate.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Does not verify the server's certificate ([`Verification::None`]).
    #[must_use]
    pub fn unverified(mut self) -> Self {
        self.verification = Verification::None;
        self
    }
}
