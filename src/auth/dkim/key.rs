//! Private keys: read from files only their owner can read, made, and published as TXT records.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use mail_auth::common::crypto::{DkimKey, Ed25519Key, RsaKey, Sha256, SigningKey};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use std::fmt;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// RFC 6376 and RFC 8463.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    #[default]
    Rsa2048,
    Ed25519,
}

impl Algorithm {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// A key that signs. Never printed: its `Debug` gives only the kind.
pub struct Key {
    secret: DkimKey,
    public: PublicKey,
}

/// What is published for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// `rsa` or `ed25519`: the `k=` tag.
    kind: &'static str,
    /// SubjectPublicKeyInfo for RSA, the 32 octets for Ed25519 (RFC 8463 §4).
    octets: Vec<u8>,
}

/// Why a key file is of no use, or could not be made. [`KeyError::remedy`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("{0} can be read by others (mode {1:04o})")]
    Exposed(PathBuf, u32),
    #[error("{0} is not a private key in PEM: {1}")]
    Pem(PathBuf, String),
    #[error(
        "{0} holds an RSA key under 2048 bits, which the cryptography library does not sign with"
    )]
    TooSmall(PathBuf),
    #[error("{0} holds no usable RSA or Ed25519 key: {1}")]
    Unusable(PathBuf, String),
    #[error("cannot write {0}: {1}")]
    Write(PathBuf, std::io::Error),
    #[error("the key could not be generated")]
    Generate,
}

impl Key {
    /// Reads a PKCS#8 or PKCS#1 PEM file that only its owner may read.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let read = |error| KeyError::Read(path.to_owned(), error);
        // The file that was checked is the file that is read: one open, then both.
        let mut file = std::fs::File::open(path).map_err(read)?;
        let mode = file.metadata().map_err(read)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed(path.to_owned(), mode));
        }
        let mut pem = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut pem).map_err(read)?;
        Self::from_pem(&pem, path)
    }

    /// Reads a key from PEM text; `path` names it in errors.
    pub fn from_pem(pem: &[u8], path: &Path) -> Result<Self, KeyError> {
        let der = PrivateKeyDer::from_pem_slice(pem)
            .map_err(|error| KeyError::Pem(path.to_owned(), error.to_string()))?;
        match &der {
            PrivateKeyDer::Pkcs8(pkcs8) if is_ed25519(pkcs8.secret_pkcs8_der()) => {
                Self::ed25519(pkcs8.secret_pkcs8_der())
            }
            PrivateKeyDer::Pkcs8(_) | PrivateKeyDer::Pkcs1(_) => Self::rsa(der),
            _ => Err("only RSA and Ed25519 sign mail".to_owned()),
        }
        .map_err(|error| match error.as_str() {
            "TooSmall" => KeyError::TooSmall(path.to_owned()),
            _ => KeyError::Unusable(path.to_owned(), error),
        })
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The `a=` tag.
    pub(super) fn algorithm(&self) -> &'static str {
        self.secret.algorithm().name()
    }

    /// RSA takes a third of a millisecond of CPU, Ed25519 a hundredth of that.
    pub(super) fn is_costly(&self) -> bool {
        matches!(self.secret, DkimKey::Rsa(_))
    }

    /// Signs the canonical octets.
    pub(super) fn sign(&self, input: &[u8]) -> Result<Vec<u8>, mail_auth::Error> {
        self.secret.sign(input)
    }

    fn rsa(der: PrivateKeyDer<'_>) -> Result<Self, String> {
        let pair = match &der {
            PrivateKeyDer::Pkcs1(pkcs1) => RsaKeyPair::from_der(pkcs1.secret_pkcs1_der()),
            _ => RsaKeyPair::from_pkcs8(der.secret_der()),
        }
        .map_err(|error| error.to_string())?;
        let secret = RsaKey::<Sha256>::from_key_der(der).map_err(|error| error.to_string())?;
        Ok(Self {
            secret: DkimKey::Rsa(secret),
            public: PublicKey::rsa(&pair).map_err(|_| "its public half cannot be written")?,
        })
    }

    fn ed25519(pkcs8: &[u8]) -> Result<Self, String> {
        // OpenSSL writes the form without the public key, which the strict reader refuses.
        let secret =
            Ed25519Key::from_pkcs8_maybe_unchecked_der(pkcs8).map_err(|error| error.to_string())?;
        let public = PublicKey {
            kind: "ed25519",
            octets: secret.public_key(),
        };
        Ok(Self {
            secret: DkimKey::Ed25519(secret),
            public,
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.algorithm())
    }
}

impl PublicKey {
    fn rsa(pair: &RsaKeyPair) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
        Ok(Self {
            kind: "rsa",
            octets: der.as_ref().to_vec(),
        })
    }

    /// The text of the TXT record: `v=DKIM1; k=rsa; p=…`.
    pub fn text(&self) -> String {
        format!(
            "v=DKIM1; k={}; p={}",
            self.kind,
            BASE64.encode(&self.octets)
        )
    }

    /// Whether a record with these `k=` and `p=` tags (RFC 6376 §3.6.1) publishes this key.
    pub(super) fn is(&self, kind: &str, base64: &str) -> bool {
        let octets = BASE64.decode(base64);
        self.kind == kind && octets.is_ok_and(|octets| octets == self.octets)
    }

    /// To make another like it.
    pub fn algorithm(&self) -> Algorithm {
        match self.kind {
            "ed25519" => Algorithm::Ed25519,
            _ => Algorithm::Rsa2048,
        }
    }
}

impl KeyError {
    /// What the operator does about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Exposed(path, _) => format!("chmod 600 {}", path.display()),
            Self::Read(..) => {
                "name a file that the daemon's user can read, or make one with \"mailwright dkim keygen\"".into()
            }
            Self::TooSmall(_) => "make a key of 2048 bits with \"mailwright dkim keygen\" and publish its record".into(),
            Self::Pem(..) | Self::Unusable(..) => {
                "give an RSA or Ed25519 key in PEM (PKCS#8 or PKCS#1), as \"mailwright dkim keygen\" makes it".into()
            }
            Self::Write(path, error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                format!("choose another file: {} is kept as it is", path.display())
            }
            Self::Write(..) => "choose a directory that can be written to".into(),
            Self::Generate => "try again".into(),
        }
    }
}

/// Makes a key, writes it as PKCS#8 PEM with mode 0600 to a file that must not exist, and returns what to publish.
pub fn generate(algorithm: Algorithm, path: &Path) -> Result<PublicKey, KeyError> {
    let (pkcs8, public) = fresh(algorithm).map_err(|_| KeyError::Generate)?;
    let write = |error| KeyError::Write(path.to_owned(), error);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(write)?;
    file.write_all(pem(pkcs8.as_ref()).as_bytes())
        .map_err(write)?;
    file.sync_all().map_err(write)?;
    Ok(public)
}

fn fresh(
    algorithm: Algorithm,
) -> Result<(Pkcs8V1Der<'static>, PublicKey), aws_lc_rs::error::Unspecified> {
    match algorithm {
        Algorithm::Rsa2048 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
            Ok((pair.as_der()?, PublicKey::rsa(&pair)?))
        }
        Algorithm::Ed25519 => {
            let pair = Ed25519KeyPair::generate()?;
            let public = PublicKey {
                kind: "ed25519",
                octets: pair.public_key().as_ref().to_vec(),
            };
            Ok((pair.as_der()?, public))
        }
    }
}

/// RFC 7468 §10.
fn pem(pkcs8: &[u8]) -> String {
    let text = BASE64.encode(pkcs8);
    let mut out = String::from("-----BEGIN PRIVATE KEY-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    out.push_str("-----END PRIVATE KEY-----\n");
    out
}

/// The algorithm identifier 1.3.101.112 stands near the start of a PKCS#8 document.
fn is_ed25519(pkcs8: &[u8]) -> bool {
    let start = pkcs8.get(..pkcs8.len().min(16)).unwrap_or_default();
    memchr::memmem::find(start, &[0x06, 0x03, 0x2b, 0x65, 0x70]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_private_is_read_back_and_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        for (algorithm, name) in [(Algorithm::Rsa2048, "rsa"), (Algorithm::Ed25519, "ed")] {
            let path = dir.path().join(name);
            let public = generate(algorithm, &path).unwrap();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert_eq!(Key::load(&path).unwrap().public(), &public);

            let before = std::fs::read(&path).unwrap();
            let error = generate(algorithm, &path).unwrap_err();
            assert!(error.remedy().contains("kept as it is"), "{error:?}");
            assert_eq!(std::fs::read(&path).unwrap(), before);
        }
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        generate(Algorithm::Ed25519, &path).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o644] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let error = Key::load(&path).unwrap_err();
            assert_eq!(error.remedy(), format!("chmod 600 {}", path.display()));
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).unwrap();
        assert!(Key::load(&path).is_ok());
    }

    #[test]
    fn keys_that_openssl_writes_are_read_and_small_ones_refused() {
        let openssl = |args: &[&str]| {
            let out = std::process::Command::new("openssl")
                .args(args)
                .output()
                .unwrap();
            assert!(
                out.status.success(),
                "{}",
                String::from_utf8_lossy(&out.stderr)
            );
            out.stdout
        };
        let from_pem = |pem: &[u8]| Key::from_pem(pem, Path::new("key.pem"));
        let ed = openssl(&["genpkey", "-algorithm", "ed25519"]);
        assert_eq!(from_pem(&ed).unwrap().algorithm(), "ed25519-sha256");
        let pkcs8 = openssl(&["genrsa", "2048"]);
        assert_eq!(from_pem(&pkcs8).unwrap().algorithm(), "rsa-sha256");
        let pkcs1 = openssl(&["genrsa", "-traditional", "2048"]);
        assert!(pkcs1.starts_with(b"-----BEGIN RSA PRIVATE KEY"));
        assert_eq!(from_pem(&pkcs1).unwrap().algorithm(), "rsa-sha256");
        for bits in ["512", "1024"] {
            let small = from_pem(&openssl(&["genrsa", bits]));
            assert!(matches!(small, Err(KeyError::TooSmall(_))), "{small:?}");
        }
        let ec = openssl(&[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]);
        assert!(matches!(from_pem(&ec), Err(KeyError::Unusable(..))));
        assert!(matches!(from_pem(b"no key"), Err(KeyError::Pem(..))));
    }

    #[test]
    fn a_key_is_not_printed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k");
        generate(Algorithm::Rsa2048, &path).unwrap();
        assert_eq!(
            format!("{:?}", Key::load(&path).unwrap()),
            "Key(rsa-sha256)"
        );
    }
}
