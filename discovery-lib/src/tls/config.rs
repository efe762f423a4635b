//! From the bytes of the files to the configuration of rustls. Each error says which file is wrong, and how.

use std::sync::Arc;

use tokio_rustls::rustls::{
    ClientConfig, ConfigBuilder, Error as RustlsError, RootCertStore,
    client::WantsClientCert,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
};
use tracing::warn;

use super::{
    Tls, Verification,
    files::{Files, Pem},
    unverified::Unverified,
};
use crate::error::{Error, Kind};

/// What is offered unless a connection offers something else. Consul's API is HTTP/1.1 here: a proxy that offers both versions must not choose
/// the other one.
const ALPN: &[u8] = b"http/1.1";

/// The configuration of new connections.
///
/// # Errors
/// A file is not PEM, has no certificate or key, or key and certificate do not match.
pub(super) fn build(tls: &Tls, files: &Files) -> Result<ClientConfig, Error> {
    // A program may have chosen another provider for itself; this one is that of this crate.
    let provider = Arc::new(ring::default_provider());
    let builder = match tls.verification {
        Verification::Full => verified(provider, files)?,
        Verification::None => {
            warn!("certificates of servers are not verified");
            let unverified = Arc::new(Unverified::new(provider.signature_verification_algorithms));
            versions(provider)?.dangerous().with_custom_certificate_verifier(unverified)
        }
    };
    let mut config = match &files.client {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => client(builder, cert, key)?,
    };
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

type Builder<State> = ConfigBuilder<ClientConfig, State>;

fn versions(
    provider: Arc<CryptoProvider>,
) -> Result<Builder<tokio_rustls::rustls::WantsVerifier>, Error> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|err| Error::new(Kind::Setting, "TLS can't be set up").because(err))
}

fn verified(
    provider: Arc<CryptoProvider>,
    files: &Files,
) -> Result<Builder<WantsClientCert>, Error> {
    let mut roots = RootCertStore::empty();
    for file in &files.authorities {
        for cert in certificates(file)? {
            let is_added = roots.add(cert);
            is_added.map_err(|err| {
                file.wrong(&format!("has a certificate that is not valid: {err}"))
            })?;
        }
    }
    if files.authorities.is_empty() {
        // Authorities that the system has and rustls can't parse are left out, as by other programs.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        let text = "this system has no certificate authorities: set a CA file (CONSUL_CACERT for the agent)";
        return Err(Error::new(Kind::Setting, text));
    }
    Ok(versions(provider)?.with_root_certificates(roots))
}

fn client(builder: Builder<WantsClientCert>, cert: &Pem, key: &Pem) -> Result<ClientConfig, Error> {
    let chain = certificates(cert)?;
    let der = PrivateKeyDer::from_pem_slice(&key.bytes).map_err(|err| match err {
        pem::Error::NoItemsFound => {
            key.wrong("has no private key: it must have a PEM block PRIVATE KEY, not encrypted")
        }
        err => not_pem(key, &err),
    })?;
    builder.with_client_auth_cert(chain, der).map_err(|err| match err {
        RustlsError::InconsistentKeys(_) => {
            key.wrong(&format!("is not the key of the certificate {}", cert.path.display()))
        }
        // Its text never has a part of the key.
        err => {
            key.wrong(&format!("can't be used with the certificate {}: {err}", cert.path.display()))
        }
    })
}

/// At least one.
fn certificates(file: &Pem) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&file.bytes)
        .collect::<Result<_, _>>()
        .map_err(|err| not_pem(file, &err))?;
    if certificates.is_empty() {
        return Err(file.wrong("has no certificate: it must have a PEM block CERTIFICATE"));
    }
    Ok(certificates)
}

fn not_pem(file: &Pem, err: &pem::Error) -> Error {
    file.wrong(match err {
        pem::Error::MissingSectionEnd { .. } => "ends within a PEM block: it is not complete",
        // The parser's own text may quote the file.
        _ => "is not valid PEM",
    })
}
