//! REST: requests and responses, for `functions/submit` and `functions/status`.
//!
//! Functions route by route key and path parameters, never by the raw path. Nothing here decides
//! anything about operations.

mod body;
mod content;
mod error;
mod etag;
mod grammar;
mod idempotency;
mod list;
mod operation;
mod prefer;
mod problem;
mod request;
mod response;
mod routes;

pub use body::read_object;
pub use error::RequestError;
pub use etag::{ETag, none_match};
pub use idempotency::{IDEMPOTENCY_KEY_POINTER, idempotency_key};
pub use list::{list_body, list_request};
pub use operation::{includes_arguments, show};
pub use prefer::Wait;
pub use problem::Problem;
pub use request::{GatewayEvent, Request, RequestSettings};
pub use response::{GatewayResponse, Response};
pub use routes::{HttpFunction, ROUTES, Route};
