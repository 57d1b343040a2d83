//! The protocol holds for long work: operations that continue, sleep, start later and are redriven.

use model::check::assert_holds;
use model::config::Config;
use model::state::Budget;

/// Work that continues, but not after this many attempts. Each leg has one attempt.
fn legs(name: &'static str, claims_max: u8) -> Config {
    Config {
        claims_max,
        payloads: true,
        reads_first: true,
        budget: Budget {
            faults: 1,
            ..Budget::NONE
        },
        ..Config::new(name)
    }
}

#[test]
fn work_continues_in_three_legs() {
    let legs = legs("legs", 3);
    assert_holds(Config {
        cancel: true,
        deadline: true,
        budget: Budget {
            heartbeats: 1,
            ..legs.budget
        },
        reaches: &[
            "third leg",
            "given up after a continue",
            "completed",
            "failed",
            "cancelled",
            "two dispatch messages",
        ],
        ..legs
    });
}

#[test]
fn each_leg_has_all_attempts() {
    assert_holds(Config {
        attempts_max: 2,
        reaches: &[
            "third leg",
            "second attempt of a second leg",
            "given up after a continue",
        ],
        ..legs("two attempts a leg", 3)
    });
}

#[test]
fn work_sleeps() {
    let legs = legs("sleep", 2);
    assert_holds(Config {
        cancel: true,
        deadline: true,
        budget: Budget {
            resends: 2,
            ..legs.budget
        },
        reaches: &[
            "sent afresh while it waits",
            "given up after a continue",
            "cancelled",
        ],
        ..legs
    });
}

#[test]
fn messages_of_work_that_sleeps_move_to_the_dead_letter_queue() {
    let legs = legs("sleep and dead letters", 2);
    assert_holds(Config {
        cancel: true,
        budget: Budget {
            dead_letters: 1,
            resends: 1,
            ..legs.budget
        },
        reaches: &["sent afresh while it waits", "dead letter sent afresh"],
        ..legs
    });
}

#[test]
fn a_sleeping_operation_is_cancelled_and_its_callback_made() {
    let legs = legs("sleep and callback", 2);
    assert_holds(Config {
        payloads: false,
        cancel: true,
        callback_attempts_max: 1,
        senders: 1,
        budget: Budget {
            resends: 1,
            ..legs.budget
        },
        reaches: &[
            "sent afresh while it waits",
            "cancelled",
            "delivered",
            "exhausted",
        ],
        ..legs
    });
}

#[test]
fn an_operation_in_legs_is_erased_and_its_id_reused() {
    let legs = legs("legs, erase and reuse", 2);
    assert_holds(Config {
        submits: 2,
        expiry: true,
        erases: 1,
        budget: Budget::NONE,
        reaches: &["id reused", "fenced-off holder of an earlier incarnation"],
        ..legs
    });
}

/// Without faults, so that no item is left to its expiry.
#[test]
fn an_operation_in_legs_is_erased_with_all_its_states() {
    assert_holds(Config {
        cancel: true,
        erases: 1,
        budget: Budget::NONE,
        reaches: &["third leg", "cancelled"],
        ..legs("legs and erase, undisturbed", 3)
    });
}

#[test]
fn an_operation_starts_later() {
    assert_holds(Config {
        attempts_max: 2,
        starts_later: true,
        reads_first: true,
        cancel: true,
        deadline: true,
        budget: Budget {
            faults: 1,
            dead_letters: 1,
            resends: 1,
            ..Budget::NONE
        },
        reaches: &[
            "waits for its start",
            "sent afresh while it waits",
            "cancelled",
            "given up",
        ],
        ..Config::new("start")
    });
}

#[test]
fn an_operation_that_starts_later_is_erased_and_its_id_reused() {
    assert_holds(Config {
        submits: 2,
        starts_later: true,
        reads_first: true,
        cancel: true,
        expiry: true,
        erases: 1,
        budget: Budget {
            resends: 1,
            ..Budget::NONE
        },
        reaches: &[
            "waits for its start",
            "id reused",
            "sent afresh while it waits",
        ],
        ..Config::new("start, erase and reuse")
    });
}

#[test]
fn an_operation_is_cancelled_before_its_start_and_its_callback_made() {
    assert_holds(Config {
        starts_later: true,
        reads_first: true,
        cancel: true,
        callback_attempts_max: 1,
        senders: 1,
        budget: Budget {
            faults: 1,
            resends: 1,
            ..Budget::NONE
        },
        reaches: &["waits for its start", "cancelled", "delivered", "exhausted"],
        ..Config::new("start and callback")
    });
}

#[test]
fn the_previous_release_runs_nothing_that_starts_later() {
    assert_holds(Config {
        attempts_max: 2,
        starts_later: true,
        reads_first: true,
        cancel: true,
        deadline: true,
        budget: Budget {
            faults: 1,
            resends: 1,
            older: 1,
            ..Budget::NONE
        },
        reaches: &["older worker meets a newer record", "completed"],
        ..Config::new("start and the previous release")
    });
}

#[test]
fn the_previous_release_runs_nothing_that_has_continued() {
    let legs = legs("legs and the previous release", 2);
    assert_holds(Config {
        attempts_max: 2,
        budget: Budget {
            resends: 1,
            older: 2,
            ..legs.budget
        },
        reaches: &["older worker meets a newer record", "completed"],
        ..legs
    });
}

/// Two requests to redrive one failed operation from its state.
fn redrive(name: &'static str, claims_max: u8) -> Config {
    Config {
        submits: 2,
        redrive: true,
        ..legs(name, claims_max)
    }
}

#[test]
fn a_failed_operation_is_redriven_once() {
    assert_holds(Config {
        expiry: true,
        source_goes: true,
        reaches: &[
            "replayed",
            "create meets itself",
            "redriven although its source is gone",
        ],
        ..redrive("redrive", 0)
    });
}

#[test]
fn a_redrive_continues() {
    assert_holds(Config {
        expiry: true,
        source_goes: true,
        cancel: true,
        budget: Budget::NONE,
        reaches: &["given up after a continue", "completed", "cancelled"],
        ..redrive("redrive and legs", 2)
    });
}

#[test]
fn a_failed_operation_is_redriven_from_its_start_as_well() {
    assert_holds(Config {
        conflicting: true,
        source_goes: true,
        reaches: &["conflict"],
        ..redrive("redrive, conflict", 0)
    });
}

#[test]
fn a_redrive_is_erased_and_made_again() {
    assert_holds(Config {
        workers: 1,
        expiry: true,
        source_goes: true,
        erases: 1,
        reaches: &["id reused", "create meets its own tombstone"],
        ..redrive("redrive and erase", 0)
    });
}

/// Without faults, so that no item is left to its expiry.
#[test]
fn a_redrive_is_erased_with_all_its_items() {
    assert_holds(Config {
        erases: 1,
        budget: Budget::NONE,
        reaches: &["replayed", "id reused"],
        ..redrive("redrive and erase, undisturbed", 2)
    });
}
