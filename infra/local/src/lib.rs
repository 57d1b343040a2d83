//! The bundle on one machine: store, queues, gateway and the four function processes.
//!
//! It takes the place of AWS, and nothing of Ferry's own: the functions are the deployed binaries, and what surrounds
//! them behaves as the service that it stands for, in what is strict above all. Where it has to differ it is stricter.

pub mod client;
pub mod function;
pub mod gateway;

/// The region that everything here claims to be in.
pub const REGION: &str = "us-east-1";

/// The account that everything here claims to belong to.
pub const ACCOUNT_ID: &str = "000000000000";
