//! What the stories across functions stand on: the real handlers in one process, on the embedded store and queues, with a clock
//! that is moved by hand and queues that are pumped by hand.
//!
//! Every request to AWS goes through a [`wire::Wire`] below the SDK, which counts it and can end the process that sends it.

#![expect(clippy::unwrap_used, reason = "a test has nobody to hand an error to")]
#![expect(clippy::missing_panics_doc, reason = "a test panics when it fails")]

pub mod queues;
pub mod receiver;
pub mod samples;
pub mod secrets_manager;
pub mod wire;
pub mod world;
