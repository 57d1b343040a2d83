//! What callers send, whichever protocol they speak: the rules that REST and Forrst share.
//!
//! The code of each protocol reads its own form with these types. Nothing here depends on how a
//! request arrives or what its response contains.

mod cursor;
mod error_code;
mod fields;
mod idempotency_key;
mod list;
mod start;

pub use cursor::Cursor;
pub use error_code::{ErrorCode, UnknownCode};
pub use fields::{FieldError, Fields, Invalid, Members, VERSION_RULE};
pub use idempotency_key::{IDEMPOTENCY_KEY_RULE, is_idempotency_key};
pub use list::{ListParameters, ListRequest};
pub use start::{START_AT, Start};
