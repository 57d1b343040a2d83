//! The crate that all four functions stand on.
//!
//! Layers, inner to outer; a layer knows only those above it in this list:
//!
//! - [`domain`]: what an operation is and which steps it may take. Pure.
//! - [`store`], [`queue`], [`secret`]: the table, the queues, a stored secret; with [`aws`] the only code that speaks to AWS.
//! - [`operations`]: what callers may do, by whichever face they come.
//! - [`http`], [`lambda`]: what callers and event sources send, and what they are answered.
//!
//! [`catalogue`] holds the functions that can be called, [`config`] the settings; [`clock`] and [`random`] are what enters from
//! outside at `main` and is passed on; [`metrics`] and [`telemetry`] are what a function tells of itself.
//! [`terminal`] is for the programs that people run.

pub mod aws;
pub mod catalogue;
pub mod certificates;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod lambda;
pub mod metrics;
pub mod operations;
pub mod queue;
pub mod random;
pub mod schema;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod terminal;
