//! Certificates of authorities, as settings have them.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// What was to be certificates in PEM has none, or one that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be certificates in PEM")]
pub struct NoCertificates;

/// Adds the certificates in a text of PEM, one at least.
///
/// # Errors
///
/// When there is none, or one that cannot be read; some may have been added then.
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
