//! The protocol as it is.

use model::check::{assert_holds, every_course_ends};
use model::config::Config;
use model::state::Budget;

fn core() -> Config {
    Config {
        submits: 1,
        attempts_max: 2,
        cancel: true,
        deadline: true,
        budget: Budget {
            faults: 1,
            heartbeats: 1,
            dead_letters: 0,
            hops: 0,
        },
        seen: &["completed", "failed", "cancelled", "given up", "claimed after a lost lease", "message received twice at once", "create meets itself"],
        ..Config::new("core")
    }
}

#[test]
fn core_holds() {
    assert_holds(core());
}

#[test]
fn core_ends() {
    assert!(every_course_ends(core()));
}
