//! The certificate and its key, from files that may change while the process runs.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use parking_lot::Mutex;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the files are looked at. The kubelet takes up to a minute to bring a changed Secret.
const LOOK: Duration = Duration::from_secs(5);
/// The most bytes of a file; a chain of certificates has some thousands.
const MAX_BYTES: u64 = 1 << 20;

/// What connections are made secure with.
#[derive(Clone)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    held: Arc<Mutex<Held>>,
}

struct Held {
    /// The files' content as it was last read.
    read: Files,
    config: Arc<ServerConfig>,
}

type Files = (Vec<u8>, Vec<u8>);

impl Tls {
    /// Reads the files: a chain of certificates, the server's own first, and its key, both in PEM.
    ///
    /// # Errors
    /// When they cannot be read, or do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> anyhow::Result<Self> {
        let read = files(certificate, key)?;
        let config = config(&read)?;
        let held = Arc::new(Mutex::new(Held { read, config }));
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), held })
    }

    /// Takes what is in the files now for the connections to come.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.held.lock().config).into()
    }

    /// Follows the files until told to stop. What cannot be used is told once, and what was in use stays.
    pub async fn follow(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            match self.look() {
                Ok(true) => {
                    info!(certificate = %self.certificate.display(), "the changed certificate is in use");
                }
                Ok(false) => {}
                Err(error) => {
                    let error = format!("{error:#}");
                    warn!(error, "the changed certificate cannot be used, the one before stays in use");
                }
            }
        }
    }

    /// Whether there is something new, which is now in use.
    fn look(&self) -> anyhow::Result<bool> {
        let read = files(&self.certificate, &self.key)?;
        if self.held.lock().read == read {
            return Ok(false);
        }
        // Also when it cannot be used: it is not tried again until it changes.
        let config = config(&read);
        let mut held = self.held.lock();
        held.read = read;
        held.config = config?;
        Ok(true)
    }
}

fn files(certificate: &Path, key: &Path) -> anyhow::Result<Files> {
    Ok((file(certificate)?, file(key)?))
}

fn file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
    opened.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}

fn config((certificate, key): &Files) -> anyhow::Result<Arc<ServerConfig>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.context("the certificate is no PEM")?;
    ensure!(!chain.is_empty(), "there is no certificate in the certificate's file");
    // The reader's words may quote the key.
    let key = PrivateKeyDer::from_pem_slice(key)
        .ok()
        .context("there is no private key in PEM in the key's file")?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the certificate and the key cannot be used together")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
