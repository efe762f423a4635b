//! Why there is no TLS connection: what was wrong, and what would be right, as one fragment.

use std::error::Error as StdError;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use crate::{Tls, tls::cause};

/// The settings that an explanation names.
#[derive(Debug, Clone, Copy)]
pub(in crate::agent) struct Refusal<'a>(pub(in crate::agent) &'a Tls);

impl Refusal<'_> {
    /// The reason, if an error or one of its causes is one of TLS. After a handshake of TLS 1.3 the agent's verdict on the client's
    /// certificate arrives in place of the first response.
    pub(in crate::agent) fn of(self, err: &(dyn StdError + 'static)) -> Option<String> {
        cause(err).map(|err| self.explain(err))
    }

    fn explain(self, err: &Error) -> String {
        match err {
            Error::InvalidCertificate(err) => self.certificate(err),
            Error::AlertReceived(alert) => self.alert(*alert),
            Error::InvalidMessage(_) => {
                "it does not answer with TLS: use http:// if that port is for plain HTTP".to_owned()
            }
            Error::PeerIncompatible(err) => {
                format!("it has no TLS version or cipher that is offered here ({err:?})")
            }
            err => err.to_string(),
        }
    }

    /// What is wrong with the agent's certificate.
    fn certificate(self, err: &CertificateError) -> String {
        match err {
            CertificateError::UnknownIssuer => self.unknown_authority(),
            CertificateError::NotValidForNameContext { expected, presented } => {
                let names: Vec<_> = presented.iter().map(|name| plain(name)).collect();
                let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
                format!(
                    "its certificate is for {names}, and not for {}: set CONSUL_TLS_SERVER_NAME to a name of the certificate",
                    expected.to_str()
                )
            }
            CertificateError::NotValidForName => {
                "its certificate is for another name: set CONSUL_TLS_SERVER_NAME to a name of the certificate".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired: renew it, or correct the clock of this machine".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet: correct the clock of this machine".to_owned()
            }
            err => format!("its certificate can't be used: {err}"),
        }
    }

    fn unknown_authority(self) -> String {
        match (&self.0.ca_file, &self.0.ca_path) {
            (Some(path), _) => format!(
                "its certificate is signed by an authority that is not in {}: set CONSUL_CACERT to the CA of the agent",
                path.display()
            ),
            (None, Some(path)) => format!(
                "its certificate is signed by an authority that is not in {}: add the CA of the agent to it (CONSUL_CAPATH)",
                path.display()
            ),
            (None, None) => "its certificate is signed by an authority that this system does not know: set CONSUL_CACERT to the CA of the agent"
                .to_owned(),
        }
    }

    /// What the agent says of this client.
    fn alert(self, alert: AlertDescription) -> String {
        match (alert, &self.0.client) {
            // Consul up to 1.9 says that the certificate is bad when there is none.
            (AlertDescription::CertificateRequired | AlertDescription::BadCertificate, None) => {
                "it requires a client certificate: set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY".to_owned()
            }
            (
                AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::DecryptError
                | AlertDescription::AccessDenied,
                Some(client),
            ) => format!(
                "it rejects the client certificate {} ({alert:?}): set CONSUL_CLIENT_CERT to one that the agent's CA has signed and that has not expired",
                client.cert.display()
            ),
            (AlertDescription::UnrecognisedName, _) => {
                "it has no certificate for that name: set CONSUL_TLS_SERVER_NAME to a name that it has".to_owned()
            }
            (AlertDescription::ProtocolVersion, _) => {
                "it has neither TLS 1.2 nor 1.3: set its tls_min_version accordingly".to_owned()
            }
            (alert, _) => format!("it refuses the handshake ({alert:?})"),
        }
    }
}

/// `localhost` of `DnsName("localhost")`.
fn plain(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}
