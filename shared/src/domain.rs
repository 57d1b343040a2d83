//! What an operation is: its identity, its states and the steps between them, and every bound on it.
//!
//! Nothing here waits, reads a clock or the environment, logs, or knows DynamoDB, SQS or HTTP. Values come in and values go
//! out, so that each rule can be tested by itself and every race can be decided from data alone.

pub mod attempt;
pub mod backoff;
pub mod callback;
pub mod callback_url;
pub mod delivery;
pub mod fingerprint;
pub mod id;
pub mod json;
pub mod limits;
pub mod network;
pub mod operation;
pub mod precondition;
pub mod time;
pub mod transition;
