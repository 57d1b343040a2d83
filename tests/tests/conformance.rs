//! Holds a server to the Forrst protocol, over HTTP and knowing nothing else of it: this bundle, or the one that `FORRST_URL` names.
//!
//! What is asked for is the envelope, the extensions `async`, `webhook`, `idempotency`, `deadline`, `tracing` and `retry`, the functions
//! that `async` brings, and `ping`, `capabilities`, `describe` and `health`. Facts are those of the public specification (`spec/` of the
//! repository `faustbrian/mesh-spec`). Where it leaves something open, whatever it allows passes; where it contradicts itself, a
//! comment says which of its sides is taken. What only Ferry promises is asked for elsewhere.

mod asynchronous;
mod deadline;
mod envelope;
mod exchange;
mod extensions;
mod idempotency;
mod list;
mod resolution;
mod retry;
mod server;
mod system;
mod tracing;
mod transport;
mod webhook;
