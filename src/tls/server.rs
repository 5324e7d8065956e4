//! TLS as a server: the certificate we show, swapped while running.

use crate::units::Timestamp;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Where a certificate and its key are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, then its intermediates.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: {why}")]
    File { path: PathBuf, why: String },
    #[error("TLS: {0}")]
    Rustls(#[from] rustls::Error),
    #[error("a self-signed certificate could not be made: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

/// A server's side of TLS. Handshakes under way keep the certificate they began with.
pub struct ServerTls {
    identity: Identity,
    provider: Arc<CryptoProvider>,
    shown: Arc<Shown>,
    acceptor: TlsAcceptor,
}

impl ServerTls {
    /// Loads a certificate and its key.
    ///
    /// # Errors
    /// Files that cannot be read, hold no PEM, or do not belong together.
    pub fn load(identity: Identity) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let shown = Arc::new(Shown(ArcSwap::from(read(&identity, &provider)?)));
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        Ok(Self {
            identity,
            provider,
            shown,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }

    /// Loads the self-signed certificate under `data_dir/tls`, made for `hostname` where there is none yet. It hides
    /// mail from who only listens; nobody can verify it.
    pub fn self_signed(data_dir: &Path, hostname: &str) -> Result<Self, TlsError> {
        let dir = data_dir.join("tls");
        let identity = Identity {
            certificate: dir.join("self-signed.crt"),
            key: dir.join("self-signed.key"),
        };
        if !identity.certificate.exists() || !identity.key.exists() {
            make_self_signed(&dir, &identity, hostname)?;
        }
        Self::load(identity)
    }

    /// Reads the files again. What they hold now is shown once [`Renewal::show`] says so: a reload that fails over
    /// anything else changes nothing.
    pub fn renewal(&self) -> Result<Renewal, TlsError> {
        Ok(Renewal {
            shown: Arc::clone(&self.shown),
            fresh: read(&self.identity, &self.provider)?,
        })
    }

    /// The file of the certificate.
    pub fn file(&self) -> &Path {
        &self.identity.certificate
    }

    /// When the certificate that is shown expires (notAfter, RFC 5280 §4.1.2.5); `None` where it does not say so in
    /// a way that can be read.
    pub fn expires(&self) -> Option<Timestamp> {
        let shown = self.shown.0.load();
        let (_, certificate) = x509_parser::parse_x509_certificate(shown.cert.first()?).ok()?;
        let end = certificate.validity().not_after.timestamp();
        // Before 1970 is over too.
        let seconds = u64::try_from(end).unwrap_or_default();
        Some(Timestamp::from_millis(seconds.saturating_mul(1000)))
    }

    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }
}

/// A certificate that was read again and is not shown yet.
#[must_use = "it is not shown before it is told to be"]
pub struct Renewal {
    shown: Arc<Shown>,
    fresh: Arc<CertifiedKey>,
}

impl Renewal {
    pub fn show(self) {
        self.shown.0.store(self.fresh);
    }
}

#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

fn read(identity: &Identity, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let in_file = |path: &Path, why: String| TlsError::File {
        path: path.to_owned(),
        why,
    };
    let path = &identity.certificate;
    let chain = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| in_file(path, format!("no certificate could be read: {e}")))?;
    if chain.is_empty() {
        return Err(in_file(path, "the file holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&identity.key)
        .map_err(|e| in_file(&identity.key, format!("no private key could be read: {e}")))?;
    CertifiedKey::from_der(chain, key, provider)
        .map(Arc::new)
        .map_err(|e| {
            let why = format!("the key does not go with {}: {e}", path.display());
            in_file(&identity.key, why)
        })
}

fn make_self_signed(dir: &Path, identity: &Identity, hostname: &str) -> Result<(), TlsError> {
    let made = rcgen::generate_simple_self_signed(vec![hostname.to_owned()])?;
    let failed = |path: &Path, e: std::io::Error| TlsError::File {
        path: path.to_owned(),
        why: e.to_string(),
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| failed(dir, e))?;
    // The certificate last: where it is, its key is there too.
    let key = made.signing_key.serialize_pem();
    write_private(&identity.key, &key).map_err(|e| failed(&identity.key, e))?;
    let path = &identity.certificate;
    write_private(path, &made.cert.pem()).map_err(|e| failed(path, e))
}

/// Replaces a file at once by one that only we can read.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn shown(tls: &ServerTls) -> Vec<u8> {
        tls.shown.0.load().cert.first().unwrap().to_vec()
    }

    #[test]
    fn a_self_signed_certificate_is_made_once_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = ServerTls::self_signed(dir.path(), "mta.test").unwrap();
        let again = ServerTls::self_signed(dir.path(), "mta.test").unwrap();
        assert_eq!(shown(&first), shown(&again));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&first.identity.key), 0o600);
    }

    #[test]
    fn a_reload_shows_the_new_certificate_and_a_bad_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let tls = ServerTls::self_signed(dir.path(), "mta.test").unwrap();
        let before = shown(&tls);
        let tls_dir = dir.path().join("tls");
        make_self_signed(&tls_dir, &tls.identity, "mta2.test").unwrap();
        let renewal = tls.renewal().unwrap();
        assert_eq!(shown(&tls), before);
        renewal.show();
        let after = shown(&tls);
        assert_ne!(before, after);
        fs::write(&tls.identity.certificate, "not PEM").unwrap();
        assert!(tls.renewal().is_err());
        assert_eq!(shown(&tls), after);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let a = ServerTls::self_signed(ours.path(), "a.test").unwrap();
        let b = ServerTls::self_signed(theirs.path(), "b.test").unwrap();
        let mixed = Identity {
            certificate: a.identity.certificate.clone(),
            key: b.identity.key.clone(),
        };
        assert!(ServerTls::load(mixed).is_err());
    }
}
