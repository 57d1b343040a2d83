//! Why there was no answer, in words that its operation's owner may read.
//!
//! The HTTP client's own errors name the URL with its query and the addresses that were tried. None of that leaves this module.

use std::error::Error;
use std::io;

use hyper_util::client::legacy;
use rustls::CertificateError;
use shared::domain::limits::CALLBACK_ANSWER_HEAD_BYTES_MAX;
use shared::domain::network::RefusedAddress;

/// Why a POST was not answered. `Display` holds no address and nothing of the URL, and has the same words for a name that leads
/// nowhere and for one that leads where callbacks may not go: a caller could explore the operator's own names by the
/// difference. `Debug` is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The deadline came first.
    #[error("timed out")]
    TimedOut,
    /// The name has no address, or could not be looked up.
    #[error("name not found, or its address is not allowed")]
    NameNotFound,
    /// The name leads, or the URL itself points, to an address that may not be reached.
    #[error("name not found, or its address is not allowed")]
    AddressNotAllowed(#[from] RefusedAddress),
    /// The URL may only lead into allowed networks, of which there are none (any more).
    #[error("name not found, or its address is not allowed")]
    NoAllowedNetwork,
    /// Nobody listens there.
    #[error("connection refused")]
    ConnectionRefused,
    /// There is no way there.
    #[error("host unreachable")]
    Unreachable,
    /// There is a connection, but no secure one.
    #[error("TLS: {0}")]
    Tls(TlsFailure),
    /// There is no connection for another reason.
    #[error("connection failed")]
    NotConnected,
    /// The connection was closed early, or what came back is not HTTP.
    #[error("no valid HTTP answer")]
    NoAnswer,
    /// Too much came before the answer's headers ended: large ones, interim responses (1xx), or a
    /// TLS handshake without end.
    #[error(
        "more than {} KiB before the end of the answer's headers",
        CALLBACK_ANSWER_HEAD_BYTES_MAX / 1024
    )]
    HeadTooLarge,
}

/// Why there is no secure connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// What came back is not TLS, as from a server of plain HTTP.
    #[error("the receiver does not speak TLS")]
    NotTls,
    /// The certificate is no longer valid, or not yet.
    #[error("certificate expired or not yet valid")]
    Expired,
    /// The certificate is for another name.
    #[error("certificate is for another name")]
    OtherName,
    /// The chain does not lead to a trusted authority, as with a self-signed certificate.
    #[error("certificate issuer not trusted")]
    UnknownIssuer,
    /// The certificate is unsound otherwise.
    #[error("invalid certificate")]
    InvalidCertificate,
    /// Receiver and sender did not come to terms.
    #[error("handshake failed")]
    Handshake,
}

impl Failure {
    pub(super) fn of(error: &legacy::Error) -> Self {
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
            Self::NoAnswer
        }
    }

    fn of_cause(cause: &(dyn Error + 'static)) -> Option<Self> {
        // Resolver and connector fail with what is to be said.
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
