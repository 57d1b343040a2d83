//! The Lambda side of the local bundle, held against the services that it stands for, with real processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundle;
mod event_source;
mod function;
mod gateway;
mod probe;
mod program;
