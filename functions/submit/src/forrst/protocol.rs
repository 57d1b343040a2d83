//! Forrst: the envelope that `POST /forrst` takes and answers with.
//!
//! Translates between bytes and values, and does nothing else: no clock, no store, no settings. The
//! face decides what a call does: it reads a [`Request`] and writes a [`Response`]. A mistake here
//! reports faults that callers did not make, or gives them an answer that their libraries cannot
//! read.
//!
//! The protocol's public specification is `spec/` of the repository `faustbrian/mesh-spec`. It
//! contradicts itself in places; a comment says so where a choice had to be made.
//!
//! Each of these modules uses only those before it:
//!
//! - `version`, `urn`, `retry`, `error`: names and errors;
//! - `extension`, `options`, `extensions`: what a call asks for;
//! - `request`, `function`, `arguments`: what a caller sends;
//! - `answers`, `response`, `operation`, `health`, `describe`: what a caller is answered;
//! - `system`: calls of the protocol's own functions.

mod answers;
mod arguments;
mod describe;
mod error;
mod extension;
mod extensions;
mod function;
mod health;
mod operation;
mod options;
mod request;
mod response;
mod retry;
mod system;
mod urn;
mod version;

#[cfg(test)]
mod tests;

pub use self::answers::{
    AsyncAnswer, DeadlineAnswer, ExtensionAnswer, IdempotencyAnswer, IdempotencyStatus,
    TracingAnswer, WebhookAnswer,
};
pub use self::arguments::{DescribeArguments, HealthArguments, HealthComponent};
pub use self::describe::{CapabilitiesView, DescribeView};
pub use self::error::{ErrorObject, Errors, Source};
pub use self::extension::Extension;
pub use self::extensions::{CallbackRequest, Extensions};
pub use self::function::SystemFunction;
pub use self::health::{ComponentHealth, HealthStatus, HealthView, PingView};
pub use self::operation::{CancelView, ListView, StatusView};
pub use self::options::{
    AsyncOptions, DeadlineLimit, DeadlineOptions, IdempotencyOptions, Specified, TracingOptions,
    WebhookEvent, WebhookOptions,
};
pub use self::request::{Echo, ParsedBody, Request};
pub use self::response::Response;
pub use self::retry::{RetryAnswer, RetryStrategy};
pub use self::system::{SystemCall, describe};
pub use self::urn::{ExtensionName, ExtensionUrn, Spelling, Spellings, UnknownExtension};
