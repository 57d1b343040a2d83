//! REST: what callers send and are answered, as `functions/submit` and `functions/status` need it.
//!
//! Handlers route by route key and path parameters, never by the raw path. Nothing here decides anything about operations.

mod answer;
mod body;
mod content;
mod cursor;
mod etag;
mod grammar;
mod idempotency;
mod list;
mod operation;
mod prefer;
mod problem;
mod request;

pub use answer::{Answer, GatewayResponse};
pub use body::VERSION_RULE;
pub use body::{Fields, Members};
pub use cursor::Cursor;
pub use etag::{ETag, none_match, preconditions};
pub use idempotency::idempotency_key;
pub use idempotency::{IDEMPOTENCY_KEY_RULE, is_idempotency_key};
pub use list::Parameters;
pub use list::{ListRequest, list_body};
pub use operation::{ErrorView, OperationView, show, show_read};
pub use operation::{Quantity, retry_after_secs};
pub use prefer::Wait;
pub use problem::{Code, FieldError, Problem};
pub use request::{Event, Request, RequestSettings};
