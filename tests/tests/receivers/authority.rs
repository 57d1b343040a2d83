//! A certificate authority, and a receiver's certificate.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    identity: Identity,
}

/// A receiver's certificate and private key.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) config: ServerConfig,
    /// A file with both, for a receiver in another process.
    pub(crate) file: PathBuf,
}

impl Authority {
    /// Each authority of a run needs another name.
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let identity = Identity::new(name, &issuer);
        Self { issuer, identity }
    }

    /// The authority's own certificate.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The identity of a receiver on this machine.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }
}

impl Identity {
    fn new(name: &str, issuer: &CertifiedIssuer<'static, KeyPair>) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, issuer)
            .unwrap();
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pem"));
        std::fs::write(&file, certificate.pem() + &key.serialize_pem()).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let config = ServerConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.into()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        Self { config, file }
    }
}
