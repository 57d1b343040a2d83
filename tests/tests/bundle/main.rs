//! Stories over HTTP: the whole bundle with the real function processes, as a caller sees it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod callback;
mod cancel;
mod erase;
mod failure;
mod idempotency;
mod list;
mod program;
mod refusal;
mod status;
