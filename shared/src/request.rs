//! What callers send, whichever protocol they speak: the rules that REST and Forrst share.
//!
//! A face reads its own form with these types; nothing here knows how a request arrives or how its
//! answer looks.

mod code;
mod cursor;
mod fields;
mod idempotency_key;
mod list;

pub use code::{Code, UnknownCode};
pub use cursor::Cursor;
pub use fields::{FieldError, Fields, Invalid, Members, VERSION_RULE};
pub use idempotency_key::{IDEMPOTENCY_KEY_RULE, is_idempotency_key};
pub use list::{ListParameters, ListRequest};
