//! Forrst: the envelope that `POST /forrst` takes and returns.
//!
//! Translates between bytes and values, and does nothing else: no clock, no store, no settings. The
//! handler decides what a call does: it reads a [`ForrstRequest`] and writes a [`ForrstResponse`].
//! A mistake here reports errors that callers did not make, or gives them a response that their
//! libraries cannot read.
//!
//! The protocol's public specification is `spec/` of the repository `faustbrian/mesh-spec`. It
//! contradicts itself in places; a comment says so where a choice had to be made.
//!
//! Each of these modules uses only those before it:
//!
//! - `version`, `urn`, `retry`, `error`: names and errors;
//! - `extension`, `options`, `extension_list`: what a call asks for;
//! - `request`, `function`, `arguments`: what a caller sends;
//! - `extension_data`, `response`, `operation`, `health`, `describe`: what a caller gets;
//! - `system_call`: calls of the protocol's own functions.

mod arguments;
mod describe;
mod error;
mod extension;
mod extension_data;
mod extension_list;
mod function;
mod health;
mod operation;
mod options;
mod request;
mod response;
mod retry;
mod system_call;
mod urn;
mod version;

#[cfg(test)]
mod tests;

pub use self::arguments::{DescribeArguments, HealthArguments, HealthComponent};
pub use self::describe::{CapabilitiesView, DescribeView};
pub use self::error::{ErrorObject, Errors, Source};
pub use self::extension::Extension;
pub use self::extension_data::{
    AsyncData, DeadlineData, ExtensionData, IdempotencyData, IdempotencyStatus, TracingData,
    WebhookData,
};
pub use self::extension_list::{CallbackRequest, Extensions};
pub use self::function::SystemFunction;
pub use self::health::{ComponentHealth, HealthStatus, HealthView, PingView};
pub use self::operation::{CancelView, ListView, StatusView};
pub use self::options::{
    AsyncOptions, DeadlineLimit, DeadlineOptions, IdempotencyOptions, Specified, TracingOptions,
    WebhookEvent, WebhookOptions,
};
pub use self::request::{Echo, ForrstRequest, ParsedBody};
pub use self::response::ForrstResponse;
pub use self::retry::{RetryData, RetryStrategy};
pub use self::system_call::{SystemCall, describe};
pub use self::urn::{ExtensionName, ExtensionUrn, Spelling, Spellings, UnknownExtension};
