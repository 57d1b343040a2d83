//! Forrst: the envelope that `POST /forrst` takes and answers with.
//!
//! A translation between bytes and values and nothing more: no clock, no store, no settings. What a call does is decided by whoever
//! reads a [`Request`] here and writes a [`Response`]. If this module is wrong, callers are told of faults that they did not
//! make, or are answered in a shape that their libraries cannot read.
//!
//! The protocol's public specification is `spec/` of the repository `faustbrian/mesh-spec`. It contradicts itself in places; a
//! comment says so where a choice had to be made.

mod answers;
mod describe;
mod error;
mod extensions;
mod health;
mod operation;
mod options;
mod request;
mod response;
mod system;
mod urn;

#[cfg(test)]
mod tests;

pub use self::answers::{
    AsyncAnswer, DeadlineAnswer, ExtensionAnswer, IdempotencyAnswer, IdempotencyStatus,
    RetryAnswer, RetryStrategy, TracingAnswer, WebhookAnswer,
};
pub use self::describe::{CapabilitiesView, DescribeView};
pub use self::error::{ErrorObject, Errors, Source};
pub use self::extensions::{CallbackRequest, Extension, Extensions};
pub use self::health::{ComponentHealth, HealthStatus, HealthView, PingView};
pub use self::operation::{CancelView, ListView, StatusView};
pub use self::options::{
    AsyncOptions, DeadlineLimit, DeadlineOptions, IdempotencyOptions, TracingOptions, WebhookEvent,
    WebhookOptions,
};
pub use self::request::{Echo, Reading, Request};
pub use self::response::Response;
pub use self::system::{
    DescribeArguments, HealthArguments, HealthComponent, SystemCall, SystemFunction,
};
pub use self::urn::{ExtensionName, Spelling};

/// The protocol's name in the envelope.
const PROTOCOL_NAME: &str = "forrst";
/// The version of the protocol that answers are written in. Any other of its major version is read as well.
const PROTOCOL_VERSION: &str = "0.1.0";
/// The major version that is read.
const PROTOCOL_MAJOR: u64 = 0;
