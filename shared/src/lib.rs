//! What the four functions share.
//!
//! The layers, from inner to outer; a layer uses only those above it in this list:
//!
//! - [`domain`]: what an operation is and which steps it may take. Pure.
//! - [`store`], [`queue`], [`secret`]: the table, the queues, a stored secret. Together with
//!   [`aws`] the only code that calls AWS.
//! - [`operations`]: what an owner may do with operations, through every face.
//! - [`http`], [`lambda`]: the requests of callers and event sources, and the answers to them.
//! - [`forrst`]: the Forrst face for callers, based on [`http`].
//!
//! [`catalogue`] lists the functions that can be called, and [`config`] reads the settings. Each
//! `main` creates a [`clock`] and a source of [`random`] bytes and passes them on. [`metrics`] and
//! [`telemetry`] are what a function reports about itself. [`terminal`] is for the programs that
//! people run.

pub mod aws;
pub mod catalogue;
pub mod certificates;
pub mod clock;
pub mod config;
pub mod domain;
pub mod forrst;
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
