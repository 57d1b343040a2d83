//! What callers send, whichever protocol they speak: the rules that REST and Forrst share.
//!
//! A protocol reads its own form with these types; nothing here knows how a request arrives or how
//! its response looks.

mod cursor;
mod error_code;
mod fields;
mod idempotency_key;
mod list;

pub use cursor::Cursor;
pub use error_code::{ErrorCode, UnknownCode};
pub use fields::{FieldError, Fields, Invalid, Members, VERSION_RULE};
pub use idempotency_key::{IDEMPOTENCY_KEY_RULE, is_idempotency_key};
pub use list::{ListParameters, ListRequest};
