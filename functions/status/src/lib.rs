//! The `status` function.
