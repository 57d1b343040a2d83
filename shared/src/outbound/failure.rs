//! Why a request failed, in words that the operation's owner may read.
//!
//! The HTTP client's own errors contain the URL with its query and the addresses that were tried.
//! Nothing of that leaves this module.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;
use rustls::CertificateError;

use crate::domain::limits::RESPONSE_HEAD_BYTES_MAX;
use crate::domain::network::RefusedAddress;

/// Why a request got no valid response. `Display` contains no address and no part of the URL. It
/// has the same words for a name that does not resolve and for one that resolves to an address that
/// is not allowed: otherwise a caller could find out which private names exist. `Debug` is for the
/// log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("timed out")]
    TimedOut,
    /// The name has no address, or the lookup failed.
    #[error("name not found, or its address is not allowed")]
    NameNotFound,
    /// The name resolves to an address that is not allowed, or the URL has one.
    #[error("name not found, or its address is not allowed")]
    AddressNotAllowed(#[from] RefusedAddress),
    /// The URL may be reached in allowed networks only, and there are none, or no longer any.
    #[error("name not found, or its address is not allowed")]
    NoAllowedNetwork,
    #[error("connection refused")]
    ConnectionRefused,
    #[error("host unreachable")]
    Unreachable,
    #[error("TLS: {0}")]
    Tls(TlsFailure),
    /// The connection failed for another reason.
    #[error("connection failed")]
    NotConnected,
    /// The connection was closed before a response arrived, or what arrived is not HTTP.
    #[error("no valid HTTP response")]
    NoValidResponse,
    /// Too many bytes came before the end of the response's headers: large headers, interim
    /// responses (1xx), or an endless TLS handshake.
    #[error(
        "more than {} KiB before the end of the response's headers",
        RESPONSE_HEAD_BYTES_MAX / 1024
    )]
    HeadTooLarge,
}

/// Why the TLS handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// The host's first bytes are not TLS, as from a server of plain HTTP.
    #[error("the host does not speak TLS")]
    NotTls,
    #[error("certificate expired or not yet valid")]
    Expired,
    #[error("certificate is for another name")]
    OtherName,
    /// The chain does not lead to a trusted authority, as with a self-signed certificate.
    #[error("certificate issuer not trusted")]
    UnknownIssuer,
    /// The certificate is invalid for another reason.
    #[error("invalid certificate")]
    InvalidCertificate,
    /// Host and client could not agree on parameters.
    #[error("handshake failed")]
    Handshake,
}

impl Failure {
    #[must_use]
    pub fn of(error: &legacy::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(found) = Self::of_cause(error) {
                return found;
            }
            cause = match error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref)
            {
                // An I/O error's `source` skips the error that it wraps.
                Some(wrapped) => Some(wrapped),
                None => error.source(),
            };
        }
        if error.is_connect() {
            Self::NotConnected
        } else {
            Self::NoValidResponse
        }
    }

    fn of_cause(cause: &(dyn Error + 'static)) -> Option<Self> {
        // Resolver and connector fail with a `Failure`.
        if let Some(failure) = cause.downcast_ref::<Self>() {
            return Some(*failure);
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return Some(Self::Tls(TlsFailure::of(tls)));
        }
        match cause.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::ConnectionRefused => Some(Self::ConnectionRefused),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Some(Self::Unreachable)
            }
            io::ErrorKind::TimedOut => Some(Self::TimedOut),
            _ => None,
        }
    }
}

impl TlsFailure {
    fn of(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            rustls::Error::InvalidCertificate(certificate) => match certificate {
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::Expired,
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Self::OtherName,
                CertificateError::UnknownIssuer => Self::UnknownIssuer,
                _ => Self::InvalidCertificate,
            },
            _ => Self::Handshake,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By a difference, callers could find out the operator's own names.
    #[test]
    fn a_name_without_addresses_has_the_same_error_as_one_that_is_not_allowed() {
        let refused = [
            RefusedAddress::CloudService,
            RefusedAddress::NotPublic,
            RefusedAddress::OutsideAllowedNetworks,
        ];
        let failures = refused.map(Failure::AddressNotAllowed);
        for failure in [Failure::NoAllowedNetwork].into_iter().chain(failures) {
            assert_eq!(failure.to_string(), Failure::NameNotFound.to_string());
        }
    }
}
