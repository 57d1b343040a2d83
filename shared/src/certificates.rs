//! Certificates of authorities, from settings.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The text is not PEM, has no certificate, or has an invalid one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be certificates in PEM")]
pub struct NoCertificates;

/// Adds the certificates in a PEM text, which must have at least one.
///
/// # Errors
///
/// When it has none, or an invalid one. Some certificates may have been added by then.
pub fn add_certificates(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), NoCertificates> {
    let count = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| NoCertificates)?;
        roots.add(certificate).map_err(|_| NoCertificates)?;
    }
    if roots.len() == count {
        return Err(NoCertificates);
    }
    Ok(())
}
