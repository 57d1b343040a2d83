//! Every suite that can share a process with the others, each in a module. Apart from them are
//! `openapi`, which holds every answer of its process to the API's description, and `faults`, whose
//! long runs are built with a profile of their own; and `cargo_lambda`, which takes cargo-lambda.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundle;
#[cfg(unix)]
mod chaos;
mod conformance;
mod events;
#[cfg(unix)]
mod exits;
#[cfg(unix)]
mod leases;
mod operator;
mod readme;
mod receivers;
mod store;
mod stories;
mod template;
