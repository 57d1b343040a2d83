//! The functions as cargo-lambda builds them, and as its emulator serves them.
//!
//! `tests/cargo_lambda.sh` runs these tests, since `cargo test` has only Rust. `CARGO_LAMBDA` is
//! the path of the program, and `BUILT_FUNCTIONS` the directories of the functions that it has
//! built, separated by colons.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod built;
mod routes;
mod samples;
mod watch;

/// A variable that must be set, so that no run skips a part.
#[expect(
    clippy::disallowed_methods,
    reason = "the environment selects what the suite tests"
)]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set; see tests/cargo_lambda.sh"))
}
