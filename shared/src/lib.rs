//! The crate that all four functions stand on.
//!
//! Layers, inner to outer; a layer knows only those above it in this list:
//!
//! - [`domain`]: what an operation is and which steps it may take. Pure.
//! - [`store`], [`queue`]: the table and the queues; the only code that speaks to AWS.
//! - [`http`], [`lambda`]: what callers and event sources send, and what they are answered.
//!
//! [`catalogue`] holds the functions that can be called, [`config`] the settings, [`clock`] and [`random`] what enters from
//! outside at `main` and is passed on.

pub mod clock;
pub mod domain;
pub mod random;
