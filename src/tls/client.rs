//! TLS as a client: what a next hop must show, and the connection when it has shown it.

use crate::problem::Problems;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// What a route asks of the connection to its next hop.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Never encrypted.
    Off,
    /// Encrypted where the next hop offers STARTTLS, whatever its certificate; in clear otherwise (RFC 7435).
    #[default]
    Opportunistic,
    /// Encrypted, whatever the certificate; no delivery without.
    Required,
    /// Encrypted, with a certificate for the host's name from a CA that we trust; no delivery without.
    Verify,
}

impl Policy {
    /// As it is written in the configuration and in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Opportunistic => "opportunistic",
            Self::Required => "required",
            Self::Verify => "verify",
        }
    }

    /// No delivery in clear.
    pub fn is_mandatory(self) -> bool {
        matches!(self, Self::Required | Self::Verify)
    }
}

/// Why there is no TLS as it was asked for, in the words of TLS reports (RFC 8460 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    StarttlsNotSupported,
    CertificateHostMismatch,
    CertificateExpired,
    CertificateNotTrusted,
    /// Anything else that went wrong with the handshake or with what the domain asks of it.
    ValidationFailure,
    /// The policy of a domain that has one (RFC 8461) cannot be had,
    StsPolicyFetchError,
    /// is none,
    StsPolicyInvalid,
    /// or comes from a host whose certificate is not for it.
    StsWebpkiInvalid,
}

impl Fault {
    /// What a handshake failed of.
    pub fn of(error: &io::Error) -> Self {
        let inner = error.get_ref();
        match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => Self::of_rustls(error),
            None => Self::ValidationFailure,
        }
    }

    fn of_rustls(error: &rustls::Error) -> Self {
        let rustls::Error::InvalidCertificate(error) = error else {
            return Self::ValidationFailure;
        };
        match error {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::CertificateHostMismatch
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Self::CertificateExpired
            }
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::Revoked => Self::CertificateNotTrusted,
            // A CA's own certificate, shown as the host's, is of nobody known.
            CertificateError::Other(_) => Self::CertificateNotTrusted,
            _ => Self::ValidationFailure,
        }
    }

    /// It is of certificates, whoever shows them.
    pub fn is_of_certificate(self) -> bool {
        matches!(
            self,
            Self::CertificateHostMismatch | Self::CertificateExpired | Self::CertificateNotTrusted
        )
    }
}

/// Which CAs `tls = "verify"` trusts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// PEM file with the CA certificates to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
}

impl Config {
    /// Notes what is wrong; `at` is the key of this table. Reads the CA file.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if let Err(error) = self.roots() {
            let key = format!("{at}.ca_file");
            problems.add(
                key,
                error.to_string(),
                "name a PEM file with CA certificates",
            );
        }
    }

    fn roots(&self) -> io::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let Some(path) = &self.ca_file else {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            return Ok(roots);
        };
        for certificate in CertificateDer::pem_file_iter(path).map_err(io::Error::other)? {
            let certificate = certificate.map_err(io::Error::other)?;
            roots.add(certificate).map_err(io::Error::other)?;
        }
        if roots.is_empty() {
            return Err(io::Error::other("holds no certificate"));
        }
        Ok(roots)
    }
}

/// Opens TLS as a client. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls {
    unverified: TlsConnector,
    verified: TlsConnector,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ClientTls {
    /// Fails where the CA file cannot be read or holds no certificate.
    pub fn new(config: &Config) -> io::Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let schemes = offered_schemes(&provider);
        let any = Arc::new(AnyCertificate { schemes });
        let builder = || {
            ClientConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)
        };
        // Two configurations, each with its own sessions: a session begun unverified must not be resumed as verified.
        let unverified = builder()?
            .dangerous()
            .with_custom_certificate_verifier(any)
            .with_no_client_auth();
        let roots = Arc::new(config.roots()?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
        let verifier = verifier.map_err(io::Error::other)?;
        let verified = builder()?
            .with_webpki_verifier(Arc::clone(&verifier))
            .with_no_client_auth();
        Ok(Self {
            unverified: Arc::new(unverified).into(),
            verified: Arc::new(verified).into(),
            verifier,
        })
    }

    /// The handshake. `host` is the MX host name: sent as SNI and, under [`Policy::Verify`], what the certificate
    /// must be for; an address literal has its brackets.
    pub async fn connect(
        &self,
        policy: Policy,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = server_name(host);
        if policy == Policy::Verify {
            let name = name.ok_or_else(|| io::Error::other("the host has no name to verify"))?;
            return self.verified.connect(name, stream).await;
        }
        // A host without a usable name goes by its address, which sends no SNI.
        let name = match name {
            Some(name) => name,
            None => ServerName::IpAddress(stream.peer_addr()?.ip().into()),
        };
        self.unverified.connect(name, stream).await
    }
}

impl ClientTls {
    /// What [`Policy::Verify`] would have said of the certificate of a connection that was made without it.
    ///
    /// # Errors
    /// What is wrong with the certificate.
    pub fn judge(&self, host: &str, stream: &TlsStream<TcpStream>) -> Result<(), Fault> {
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().unwrap_or_default();
        let (Some((own, above)), Some(name)) = (shown.split_first(), server_name(host)) else {
            return Err(Fault::CertificateHostMismatch);
        };
        let judged = self
            .verifier
            .verify_server_cert(own, above, &name, &[], UnixTime::now());
        judged
            .map(|_verified| ())
            .map_err(|error| Fault::of_rustls(&error))
    }
}

fn server_name(host: &str) -> Option<ServerName<'static>> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let bare = bare.strip_prefix("IPv6:").unwrap_or(bare);
    ServerName::try_from(bare).ok().map(|name| name.to_owned())
}

/// SHA-1 signatures too: to an opportunistic connection they are no worse than the clear text it would fall back to.
fn offered_schemes(provider: &CryptoProvider) -> Vec<SignatureScheme> {
    let mut schemes = provider
        .signature_verification_algorithms
        .supported_schemes();
    schemes.extend([
        SignatureScheme::RSA_PKCS1_SHA1,
        SignatureScheme::ECDSA_SHA1_Legacy,
    ]);
    schemes
}

/// Takes every certificate: encryption against listeners, without knowing with whom (RFC 7435 §3).
#[derive(Debug)]
struct AnyCertificate {
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_that_is_missing_or_empty_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        for ca_file in [Some(dir.path().join("none.pem")), Some(empty)] {
            let mut problems = Problems::default();
            Config { ca_file }.validate("tls.client", &mut problems);
            assert_eq!(problems.0[0].key, "tls.client.ca_file");
        }
        let mut problems = Problems::default();
        Config::default().validate("tls.client", &mut problems);
        assert!(problems.is_empty());
    }

    #[test]
    fn names_and_literals_become_server_names() {
        for (host, known) in [
            ("mx.example.test", true),
            ("[192.0.2.1]", true),
            ("[IPv6:2001:db8::1]", true),
            ("a b", false),
            ("", false),
        ] {
            assert_eq!(server_name(host).is_some(), known, "{host}");
        }
    }
}
