//! A TLS server that forwards to a plain one, with certificates that can be replaced.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        server::WebPkiClientVerifier,
    },
};
use tokio_util::task::AbortOnDropHandle;

use crate::certificates::Certificate;

/// The pause after a failed accept, which prevents a busy loop.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// A running TLS server. Dropping it closes the listener and all connections.
#[derive(Debug)]
pub struct Front {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

struct Shared {
    to: SocketAddr,
    config: Mutex<Arc<ServerConfig>>,
    handshakes: AtomicU64,
    refused: AtomicU64,
}

impl Front {
    /// Forwards to `to`. With `clients`, the PEM of an authority, only clients with its certificates are accepted.
    ///
    /// # Errors
    ///
    /// No port is free, or a certificate can't be used.
    pub async fn start(
        to: SocketAddr,
        certificate: &Certificate,
        clients: Option<&str>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let config = Mutex::new(config(certificate, clients)?);
        let (handshakes, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { to, config, handshakes, refused });
        let task = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { addr, shared, _task: AbortOnDropHandle::new(task) })
    }

    /// Its address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// New connections get this certificate, and their clients must have one of this authority.
    ///
    /// # Errors
    ///
    /// A certificate can't be used.
    pub fn replace(&self, certificate: &Certificate, clients: Option<&str>) -> io::Result<()> {
        *self.shared.config.lock().unwrap_or_else(PoisonError::into_inner) =
            config(certificate, clients)?;
        Ok(())
    }

    /// New connections choose among these versions of HTTP (ALPN), until the certificate is replaced. At first there are none.
    pub fn offer(&self, protocols: &[&str]) {
        let mut config = self.shared.config.lock().unwrap_or_else(PoisonError::into_inner);
        let mut offering = ServerConfig::clone(&config);
        offering.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        *config = Arc::new(offering);
    }

    /// Handshakes that succeeded.
    pub fn handshakes(&self) -> u64 {
        self.shared.handshakes.load(Relaxed)
    }

    /// Handshakes that failed.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Relaxed)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("to", &self.to).finish_non_exhaustive()
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_AGAIN_AFTER).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(forward(stream, Arc::clone(&shared)));
    }
}

async fn forward(stream: TcpStream, shared: Arc<Shared>) {
    let config = Arc::clone(&shared.config.lock().unwrap_or_else(PoisonError::into_inner));
    let Ok(mut client) = TlsAcceptor::from(config).accept(stream).await else {
        shared.refused.fetch_add(1, Relaxed);
        return;
    };
    shared.handshakes.fetch_add(1, Relaxed);
    if let Ok(mut server) = TcpStream::connect(shared.to).await {
        // Either side may end first.
        copy_bidirectional(&mut client, &mut server).await.ok();
    }
}

fn config(certificate: &Certificate, clients: Option<&str>) -> io::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_slice_iter(certificate.cert.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    let key =
        PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).map_err(io::Error::other)?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for cert in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(cert.map_err(io::Error::other)?).map_err(io::Error::other)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().map_err(io::Error::other)?)
        }
    };
    builder.with_single_cert(chain, key).map(Arc::new).map_err(io::Error::other)
}
