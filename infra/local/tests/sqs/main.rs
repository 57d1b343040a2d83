//! What the bundle relies upon in SQS, asked through the real SDK of the local queues, and of any other server that
//! `SQS_ENDPOINT` names. A case that only one of them passes shows where one of them is not SQS.
//!
//! `tests/references.sh`, at the top of the repository, runs it against moto.

#![expect(
    clippy::unwrap_used,
    reason = "what a case needs on its way and does not get fails it"
)]

mod batches;
mod messages;
mod queues;
mod redrive;
mod service;
mod visibility;
