//! The protocol holds: each test explores one part of it with all faults that may happen there.

use model::check::assert_holds;
use model::config::{Config, Start};
use model::state::Budget;

#[test]
fn an_operation_runs() {
    assert_holds(Config {
        attempts_max: 2,
        cancel: true,
        deadline: true,
        receives_max: 3,
        budget: Budget {
            faults: 2,
            heartbeats: 1,
            ..Budget::NONE
        },
        reaches: &[
            "completed",
            "failed",
            "cancelled",
            "given up",
            "claimed after a lost lease",
            "message received twice at once",
            "create meets itself",
        ],
        ..Config::new("work")
    });
}

#[test]
fn an_id_is_reused() {
    assert_holds(Config {
        submits: 2,
        attempts_max: 2,
        expiry: true,
        payloads: true,
        budget: Budget {
            faults: 1,
            ..Budget::NONE
        },
        reaches: &[
            "replayed",
            "id reused",
            "claimed after a lost lease",
            "fenced-off holder of an earlier incarnation",
            "create meets itself",
        ],
        ..Config::new("reuse")
    });
}

#[test]
fn a_key_is_reused_for_another_request() {
    assert_holds(Config {
        submits: 2,
        conflicting: true,
        cancel: true,
        expiry: true,
        budget: Budget {
            faults: 1,
            ..Budget::NONE
        },
        reaches: &["conflict", "id reused", "cancelled"],
        ..Config::new("conflict")
    });
}

#[test]
fn an_operation_is_erased_and_its_id_reused() {
    assert_holds(Config {
        submits: 2,
        expiry: true,
        erases: 2,
        payloads: true,
        budget: Budget {
            faults: 1,
            ..Budget::NONE
        },
        reaches: &[
            "id reused",
            "erased with a successor",
            "create meets its own tombstone",
            "create meets its successor's tombstone",
        ],
        ..Config::new("erase")
    });
}

/// Without faults, so that no item is left to its expiry.
#[test]
fn an_operation_is_erased_with_all_items_under_its_id() {
    assert_holds(Config {
        submits: 2,
        attempts_max: 2,
        cancel: true,
        erases: 2,
        payloads: true,
        budget: Budget::NONE,
        reaches: &["replayed", "id reused", "cancelled"],
        ..Config::new("erase, undisturbed")
    });
}

#[test]
fn dispatch_messages_move_to_the_dead_letter_queue() {
    assert_holds(Config {
        attempts_max: 2,
        cancel: true,
        deadline: true,
        budget: Budget {
            faults: 1,
            heartbeats: 1,
            dead_letters: 2,
            ..Budget::NONE
        },
        reaches: &["dead letter sent afresh", "given up", "completed"],
        ..Config::new("dead letters")
    });
}

#[test]
fn a_cancelled_operation_has_a_callback() {
    assert_holds(Config {
        cancel: true,
        callback_attempts_max: 1,
        budget: Budget {
            faults: 1,
            ..Budget::NONE
        },
        reaches: &["cancelled", "completed", "delivered", "exhausted"],
        ..Config::new("cancel and callback")
    });
}

#[test]
fn an_id_is_reused_and_both_operations_have_a_callback() {
    assert_holds(Config {
        submits: 2,
        callback_attempts_max: 1,
        expiry: true,
        reaches: &["id reused", "delivered", "exhausted"],
        ..Config::new("reuse and callbacks")
    });
}

#[test]
fn a_callback_is_made_by_one_sender() {
    assert_holds(Config {
        start: Start::Delivered,
        callback_attempts_max: 2,
        senders: 1,
        redeliveries: 1,
        gone: true,
        budget: Budget {
            faults: 2,
            dead_letters: 1,
            hops: 1,
            ..Budget::NONE
        },
        reaches: &[
            "delivered",
            "gone",
            "exhausted",
            "redelivered",
            "exhausted by the dead letters",
        ],
        ..Config::new("callback, one sender")
    });
}

/// No message is received again while another process can still act.
#[test]
fn a_callback_has_two_wake_ups() {
    assert_holds(Config {
        start: Start::Ended,
        callback_attempts_max: 3,
        receives_max: 1,
        budget: Budget {
            faults: 3,
            hops: 1,
            ..Budget::NONE
        },
        reaches: &["delivered", "exhausted"],
        ..Config::new("callback, two wake-ups")
    });
}

#[test]
fn a_callback_is_made_by_two_senders() {
    assert_holds(Config {
        start: Start::Ended,
        callback_attempts_max: 2,
        budget: Budget {
            faults: 2,
            hops: 1,
            ..Budget::NONE
        },
        reaches: &["delivered", "exhausted", "message received twice at once"],
        ..Config::new("callback, two senders")
    });
}

#[test]
fn a_callback_is_deferred_while_its_receiver_is_busy() {
    assert_holds(Config {
        start: Start::Ended,
        callback_attempts_max: 2,
        budget: Budget {
            faults: 1,
            deferrals: 2,
            ..Budget::NONE
        },
        reaches: &["delivered after a deferral", "exhausted"],
        ..Config::new("deferral")
    });
    assert_holds(Config {
        start: Start::Delivered,
        callback_attempts_max: 1,
        redeliveries: 1,
        budget: Budget {
            faults: 1,
            dead_letters: 1,
            deferrals: 1,
            ..Budget::NONE
        },
        reaches: &["redelivered", "delivered after a deferral"],
        ..Config::new("deferral of a redelivery")
    });
}

#[test]
fn without_faults_every_attempt_is_one_post() {
    assert_holds(Config {
        start: Start::Ended,
        callback_attempts_max: 3,
        posts_max: 3,
        receives_max: 1,
        ..Config::new("posts")
    });
}

#[test]
fn a_fault_adds_at_most_one_post_for_each_attempt() {
    assert_holds(Config {
        start: Start::Ended,
        callback_attempts_max: 3,
        posts_max: 6,
        receives_max: 1,
        budget: Budget {
            faults: 1,
            ..Budget::NONE
        },
        ..Config::new("posts, a fault")
    });
}

#[test]
fn a_callback_is_redelivered_twice() {
    let config = Config {
        start: Start::Delivered,
        redeliveries: 2,
        reaches: &["redelivered", "exhausted", "delivered"],
        ..Config::new("redelivery")
    };
    assert_holds(Config {
        callback_attempts_max: 2,
        ..config.clone()
    });
    assert_holds(Config {
        name: "redelivery, a fault",
        callback_attempts_max: 1,
        budget: Budget {
            faults: 1,
            ..Budget::NONE
        },
        ..config
    });
}

#[test]
fn an_operation_is_erased_while_its_callback_is_redelivered() {
    assert_holds(Config {
        start: Start::Delivered,
        callback_attempts_max: 2,
        redeliveries: 1,
        erases: 1,
        budget: Budget {
            faults: 1,
            ..Budget::NONE
        },
        reaches: &["redelivered", "exhausted"],
        ..Config::new("redelivery and erase")
    });
}

#[test]
fn wake_ups_move_to_the_dead_letter_queue() {
    assert_holds(Config {
        start: Start::Delivered,
        callback_attempts_max: 2,
        redeliveries: 1,
        budget: Budget {
            faults: 1,
            dead_letters: 1,
            ..Budget::NONE
        },
        reaches: &["exhausted by the dead letters", "redelivered"],
        ..Config::new("dead wake-ups")
    });
}
