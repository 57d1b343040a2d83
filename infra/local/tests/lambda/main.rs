//! Tests of gateway, functions, event sources, bundle and program, with real processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bundle;
mod event_source;
mod function;
mod gateway;
mod invoke_api;
mod probe;
mod program;
mod served_gateway;
mod targets;
mod wait;
