//! The bundle on one machine: store, queues, gateway and the processes of the four functions.
//!
//! It replaces AWS and nothing of Ferry: the functions are the deployed binaries. Each part behaves
//! as the AWS service that it emulates, above all in what that service refuses. Where it has to
//! differ, it is stricter.
//!
//! | module | emulates |
//! |---|---|
//! | [`bundle`] | the stack that the template deploys; it wires the other modules |
//! | [`gateway`] | the API Gateway HTTP API: routes, authorizer, CORS, payload format 2.0 |
//! | [`function`] | Lambda's execution environments and Runtime API |
//! | [`targets`] | Lambda's Invoke API, in front of the targets of registered functions |
//! | [`event_source`] | Lambda's SQS event source mapping |
//! | [`sqs`] | SQS standard queues, with an injected clock |
//! | `dynamodb` | DynamoDB's HTTP endpoint, in front of the embedded store `dynoxide` |
//!
//! [`guard`] protects every listener from web pages, [`client`] has the clients for all of them,
//! and [`build`] builds the functions' binaries.

pub mod build;
pub mod bundle;
pub mod client;
mod dynamodb;
pub mod event_source;
pub mod function;
pub mod gateway;
pub mod guard;
pub mod sqs;
pub mod targets;

/// The region in ARNs and events.
pub const REGION: &str = "us-east-1";

/// The account in ARNs, events and queue URLs.
pub const ACCOUNT_ID: &str = "000000000000";

/// The credentials of every client. No part checks them.
pub const ACCESS_KEY_ID: &str = "local";
pub const SECRET_ACCESS_KEY: &str = "local";
