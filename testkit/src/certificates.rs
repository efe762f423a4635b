//! Certificates of a private authority, as PEM.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// A certificate authority of its own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Now,
    /// Until the year 2001.
    Past,
    /// From the year 3000.
    Future,
}

/// A certificate and its key, for servers and clients, as PEM.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// An authority with this common name.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn new(name: &str) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).map_err(io::Error::other)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these host names and IP addresses.
    ///
    /// # Errors
    ///
    /// A name that is none.
    pub fn issue(&self, names: &[&str], validity: Validity) -> io::Result<Certificate> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        match validity {
            Validity::Now => {}
            Validity::Past => {
                (params.not_before, params.not_after) =
                    (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
            }
            Validity::Future => params.not_before = date_time_ymd(3000, 1, 1),
        }
        let cert = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        Ok(Certificate { cert: cert.pem(), key: key.serialize_pem() })
    }
}

impl Certificate {
    /// Writes `NAME.pem` and `NAME-key.pem`.
    ///
    /// # Errors
    ///
    /// A file can't be written.
    pub fn write(&self, directory: &Path, name: &str) -> io::Result<(PathBuf, PathBuf)> {
        let cert = directory.join(format!("{name}.pem"));
        let key = directory.join(format!("{name}-key.pem"));
        fs::write(&cert, &self.cert)?;
        fs::write(&key, &self.key)?;
        Ok((cert, key))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("pem", &self.pem).finish_non_exhaustive()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert", &self.cert).finish_non_exhaustive()
    }
}
