//! What the test suites share.
//!
//! [`world::World`] runs the real handlers in one process, on the embedded store and queues. Tests
//! move its clock and receive its messages. Every request to AWS passes a [`wire::Wire`] below the
//! SDK, which counts it, can lose it, its response or the process that sends it, and refuses what
//! the template's [`permissions`] do not allow. [`bundle::SharedBundle`] runs the real processes in
//! real time, and [`api::Api`] calls them over HTTP. Both compare every response and every callback
//! with the [`openapi`] document.
//!
//! Also here: [`receiver`]s of callbacks, the [`shape`] of JSON values, DynamoDB Local in
//! [`dynamodb`], the sample [`events`], and the parts of the pages in [`readme`].

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::missing_panics_doc, reason = "a test panics when it fails")]

pub mod api;
pub mod benchmark;
pub mod bundle;
pub mod dynamodb;
pub mod events;
pub mod logs;
pub mod meter;
pub mod metered;
pub mod metrics;
pub mod openapi;
pub mod permissions;
pub mod processes;
pub mod queues;
pub mod readme;
pub mod receiver;
pub mod samples;
pub mod secrets_manager;
pub mod shape;
pub mod target;
pub mod template;
pub mod terminal;
pub mod wait;
pub mod watched_clock;
pub mod wire;
pub mod world;
pub mod yaml;
