//! What the stories across functions stand on, in two forms.
//!
//! A [`world::World`] is the real handlers in one process, on the embedded store and queues, with a clock that is moved by hand
//! and queues that are pumped by hand. Every request to AWS goes through a [`wire::Wire`] below the SDK, which counts it, and can lose
//! it, its answer or the process that sends it, and none passes that the template's [`permissions`] do not allow. A
//! [`bundle::SharedBundle`] is the real processes in real time, called over HTTP by an [`api::Api`]. Every answer of either, and every
//! callback, is held to the [`openapi`] document. Besides: [`receiver`]s of callbacks, the [`shape`] of JSON, another store by way of
//! [`dynamodb`], the sample [`events`], and the parts of the [`readme`].

#![expect(clippy::unwrap_used, reason = "a test has nobody to hand an error to")]
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
pub mod template;
pub mod terminal;
pub mod wait;
pub mod watched_clock;
pub mod wire;
pub mod world;
pub mod yaml;
