//! The `callback` function.

pub mod sender;
pub mod signature;
