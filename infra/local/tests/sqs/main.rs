//! What the bundle relies on in SQS, tested through the AWS SDK on the local queues, or on the
//! server at `SQS_ENDPOINT`. A test that only one of the two passes shows a difference from SQS in
//! the other.
//!
//! `tests/references.sh` in the repository's root runs these tests against moto.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attributes;
mod batches;
mod messages;
mod queues;
mod redrive;
mod service;
mod visibility;
