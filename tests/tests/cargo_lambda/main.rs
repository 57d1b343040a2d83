//! Holds what cargo-lambda makes of the functions, and how its emulator serves them, to what they are.
//!
//! No part of `cargo test`, since it takes more than Rust: `tests/cargo_lambda.sh` runs it. `CARGO_LAMBDA` names the program, and
//! `BUILT_FUNCTIONS` the directories, divided by colons, of the functions that it has built.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod built;
mod routes;
mod samples;
mod watch;

/// A variable that has to be there: a run that leaves something out fails.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the suite says what it is run on"
)]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; see tests/cargo_lambda.sh"))
}
