//! What an operation is: its identity, its states, the steps between them, and every limit.
//!
//! The domain is pure: nothing here waits, reads a clock or the environment, logs, or knows
//! DynamoDB, SQS or HTTP. Values come in and values go out, so each rule is tested in isolation and
//! every race is decided from data.

pub mod attempt;
pub mod backoff;
pub mod callback;
pub mod caller_url;
pub mod delivery;
pub mod fingerprint;
pub mod history;
pub mod id;
pub mod json;
pub mod limits;
pub mod network;
pub mod operation;
pub mod precondition;
pub mod target_code;
pub mod time;
pub mod transition;
