//! The `worker` function.
