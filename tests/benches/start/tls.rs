//! TLS proxies for the local store and queues, with a certificate authority that the functions
//! trust.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A certificate authority, and the proxies with its certificate for `localhost`.
pub(crate) struct Authority {
    /// The file with its certificate, as PEM.
    pub(crate) file: PathBuf,
    acceptor: TlsAcceptor,
    proxies: JoinSet<()>,
}

impl Authority {
    pub(crate) fn new(directory: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        // By default both certificates have the same name, and OpenSSL would take the server's for
        // self-signed.
        let name = &mut params.distinguished_name;
        name.push(DnType::CommonName, "benchmark authority");
        let certificate = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let server_key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let server = server.signed_by(&server_key, &issuer).unwrap();
        let file = directory.join("authority.pem");
        std::fs::write(&file, certificate.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![server.der().clone()],
                PrivateKeyDer::Pkcs8(server_key.serialize_der().into()),
            )
            .unwrap();
        Self {
            file,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            proxies: JoinSet::new(),
        }
    }

    /// Starts a proxy for a plain endpoint and returns its URL.
    pub(crate) async fn proxy(&mut self, endpoint: &str) -> String {
        let upstream = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = self.acceptor.clone();
        self.proxies.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
                tokio::spawn(async move {
                    // A process that is stopped may disconnect during the handshake.
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut upstream = TcpStream::connect(upstream).await.unwrap();
                    upstream.set_nodelay(true).unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut upstream).await;
                });
            }
        });
        format!("https://localhost:{port}")
    }
}
