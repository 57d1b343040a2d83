//! Checks that a server conforms to the Forrst protocol, only over HTTP: this bundle, or the server
//! that `FORRST_URL` names.
//!
//! The suite covers the envelope, the extensions `async`, `webhook`, `idempotency`, `deadline`,
//! `tracing` and `retry`, the functions that `async` defines, and `ping`, `capabilities`,
//! `describe` and `health`. It follows the public specification (`spec/` in the repository
//! `faustbrian/mesh-spec`). Where the specification leaves a choice, the suite accepts everything
//! that it allows; where it contradicts itself, a comment says which statement the suite follows.
//! Other tests cover what only Ferry promises.

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
