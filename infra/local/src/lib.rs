//! The bundle on one machine: store, queues, gateway and the four function processes.
//!
//! It takes the place of AWS, and nothing of Ferry's own: the functions are the deployed binaries, and what surrounds
//! them behaves as the service that it stands for, in what is strict above all. Where it has to differ it is stricter.

pub mod build;
pub mod bundle;
pub mod client;
mod dynamodb;
pub mod event_source;
pub mod function;
pub mod gateway;
pub mod guard;
pub mod sqs;

/// The region that everything here claims to be in.
pub const REGION: &str = "us-east-1";

/// The account that everything here claims to belong to.
pub const ACCOUNT_ID: &str = "000000000000";

/// The credentials that everything here is given, and that nothing here checks.
pub(crate) const ACCESS_KEY_ID: &str = "local";
pub(crate) const SECRET_ACCESS_KEY: &str = "local";
