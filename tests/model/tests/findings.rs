//! What the model found wrong with the protocol.

use model::check::assert_breaks;
use model::config::{Config, Start};
use model::property;
use model::state::Budget;

/// One thing may go wrong.
const ONE_FAULT: Budget = Budget {
    faults: 1,
    heartbeats: 0,
    dead_letters: 0,
    hops: 0,
};

/// Two redeliveries are asked for. The sender of the first one's round dies before it acknowledges, the second one's round
/// follows, and when the first one's message comes back, the record knows of the second alone: a third round begins.
#[test]
fn a_redelivery_starts_a_second_round_after_anothers() {
    let config = Config {
        start: Start::Delivered,
        senders: 1,
        tries_max: 1,
        redeliveries: 2,
        budget: ONE_FAULT,
        ..Config::new("redelivery starts again")
    };
    assert_breaks(config, property::ONE_ROUND);
}

/// A create is carried out and its answer lost. Before the SDK makes it again, the operation ends, its message is acknowledged,
/// and its owner, who knows it from a replay, erases it. The second create then finds nothing, and creates an operation that has
/// no message.
#[test]
fn a_create_that_is_made_again_brings_back_what_was_erased() {
    let config = Config {
        submits: 2,
        erase: true,
        budget: ONE_FAULT,
        ..Config::new("create after erase")
    };
    assert_breaks(config, property::ENDS);
}
