//! The crate that the four functions share.
//!
//! Layers, inner to outer; a layer uses only those before it in this list:
//!
//! - [`domain`]: what an operation is and which steps it may take. Pure.
//! - [`store`], [`queue`], [`secret`]: the table, the queues, a stored secret; with [`aws`], the
//!   only code that calls AWS.
//! - [`request`], [`view`]: what callers send and see, whichever protocol they speak.
//! - [`operations`]: what an owner may do.
//! - [`http`], [`lambda`]: REST's requests and responses; the events that Lambda delivers.
//!
//! [`catalogue`] has the functions that can be called, [`config`] the settings; `main` creates
//! [`clock`] and [`random`] and passes them on; [`outbound`] connects to hosts that callers choose;
//! [`metrics`] and [`telemetry`] are what a function reports about itself. [`terminal`] is for the
//! programs that people run.

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
pub mod outbound;
pub mod queue;
pub mod random;
pub mod request;
pub mod schema;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod terminal;
pub mod view;
