//! The `submit` function.
