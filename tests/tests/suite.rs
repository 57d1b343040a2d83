//! All suites that can share one process, one module each. The others have their own binary:
//! `openapi` checks every response of its process, `faults` uses another build profile, and
//! `cargo_lambda`, `overlap`, `schema_suite` and `silence` need what a script provides.

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
