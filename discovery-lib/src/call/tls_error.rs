//! Why there is no TLS connection to an instance.

use std::fmt;

#[cfg(feature = "tls")]
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

/// Why there is no TLS connection to an instance ([`TryError::Tls`](crate::TryError)). A debug event of the log has the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// Its certificate is signed by an authority that is not trusted here ([`Tls::ca_file`](crate::Tls)).
    Untrusted,
    /// Its certificate is for another name. An instance that is known by its IP address needs that address in its certificate, or
    /// [`Tls::server_name`](crate::Tls).
    OtherName,
    /// Its certificate has expired.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate can't be used for another reason.
    BadCertificate,
    /// It requires a certificate of its clients ([`Tls::client`](crate::Tls)).
    ClientCertificateRequired,
    /// It rejects the certificate of this client.
    ClientCertificateRejected,
    /// It does not answer with TLS.
    NotTls,
    /// It has no version of TLS, no cipher or no version of HTTP that is offered here.
    NothingInCommon,
    /// The handshake failed for another reason.
    Failed,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Untrusted => "has a certificate of an authority that is not trusted",
            Self::OtherName => "has a certificate for another name",
            Self::Expired => "has a certificate that has expired",
            Self::NotYetValid => "has a certificate that is not valid yet",
            Self::BadCertificate => "has a certificate that can't be used",
            Self::ClientCertificateRequired => "requires a client certificate",
            Self::ClientCertificateRejected => "rejects the client certificate",
            Self::NotTls => "does not answer with TLS",
            Self::NothingInCommon => "has no TLS version, cipher or HTTP version that is offered",
            Self::Failed => "failed the TLS handshake",
        })
    }
}

#[cfg(feature = "tls")]
impl TlsError {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => Self::of_certificate(error),
            Error::AlertReceived(alert) => Self::of_alert(*alert),
            Error::InvalidMessage(_) => Self::NotTls,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => Self::NothingInCommon,
            _ => Self::Failed,
        }
    }

    fn of_certificate(error: &CertificateError) -> Self {
        match error {
            CertificateError::UnknownIssuer => Self::Untrusted,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::OtherName
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            _ => Self::BadCertificate,
        }
    }

    /// What the instance says of this client.
    fn of_alert(alert: AlertDescription) -> Self {
        match alert {
            AlertDescription::CertificateRequired => Self::ClientCertificateRequired,
            AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied => Self::ClientCertificateRejected,
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::NoApplicationProtocol => Self::NothingInCommon,
            AlertDescription::UnrecognisedName => Self::OtherName,
            _ => Self::Failed,
        }
    }
}

impl TlsError {
    /// Whether an instance says that it refuses this client: with TLS 1.3 in place of its first response, which it does not give.
    pub(super) fn is_refusal(self) -> bool {
        matches!(self, Self::ClientCertificateRequired | Self::ClientCertificateRejected)
    }
}
