//! Clients for what runs on this machine.

/// An HTTP client for plain-HTTP addresses on this machine: it trusts no certificate, follows no redirect and heeds no
/// proxy setting.
///
/// # Panics
///
/// Never: what it is built from is fixed.
#[must_use]
pub fn http_client() -> reqwest::Client {
    // reqwest insists on a TLS set-up, and one that is its own keeps this process free of a global one.
    let tls = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .expect("ring supports the default protocol versions")
    .with_root_certificates(rustls::RootCertStore::empty())
    .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("every setting is fixed and supported")
}
