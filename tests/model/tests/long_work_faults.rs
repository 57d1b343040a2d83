//! Why long work has its rules: each test breaks one, and the model finds the trace that follows.

use model::Ferry;
use model::check::{assert_breaks, every_behaviour_ends};
use model::config::{Config, Fault};
use model::property;
use model::state::Budget;

/// Work in two legs, with one rule broken.
fn broken(name: &'static str, fault: Fault) -> Config {
    Config {
        fault: Some(fault),
        claims_max: 2,
        payloads: true,
        reads_first: true,
        ..Config::new(name)
    }
}

/// The same with a fault, and with messages that are sent afresh.
fn disturbed(name: &'static str, fault: Fault) -> Config {
    Config {
        budget: Budget {
            faults: 1,
            resends: 1,
            ..Budget::NONE
        },
        ..broken(name, fault)
    }
}

#[test]
fn a_continue_leaves_the_number_of_attempts() {
    let config = broken("attempts not raised", Fault::AttemptsNotRaised);
    assert_breaks(config, property::NOT_GIVEN_UP_EARLY);
}

/// The second leg's state is not written, since the first one's already has its key. The third leg
/// runs with the first one's.
#[test]
fn states_of_all_attempts_have_one_key() {
    let config = Config {
        claims_max: 3,
        ..broken("states under one name", Fault::StatesUnderOneName)
    };
    assert_breaks(config, property::LAST_STATE);
}

/// The attempt after a continue loses its lease. The next one is again to continue from the state,
/// which an earlier attempt than the last one wrote.
#[test]
fn a_state_is_found_by_the_number_of_the_last_attempt() {
    let config = Config {
        attempts_max: 2,
        ..broken("state by last attempt", Fault::StateByLastAttempt)
    };
    assert_breaks(config, property::LAST_STATE);
}

/// A record that has the format of the previous release, one of whose workers receives its message.
fn mistaken(name: &'static str, fault: Fault) -> Config {
    Config {
        budget: Budget {
            older: 1,
            ..Budget::NONE
        },
        ..broken(name, fault)
    }
}

#[test]
fn a_continue_leaves_the_format() {
    let config = mistaken("continue in the older format", Fault::StateInOlderFormat);
    assert_breaks(config, property::LAST_STATE);
}

#[test]
fn a_redrive_from_a_state_has_the_older_format() {
    let config = Config {
        redrive: true,
        ..mistaken("redrive in the older format", Fault::StateInOlderFormat)
    };
    assert_breaks(config, property::LAST_STATE);
}

#[test]
fn a_start_has_the_older_format() {
    let config = Config {
        starts_later: true,
        ..mistaken("start in the older format", Fault::StartInOlderFormat)
    };
    assert_breaks(config, property::NOT_BEFORE_START);
}

#[test]
fn a_claim_does_not_wait_for_the_start() {
    let config = Config {
        starts_later: true,
        ..broken("start claims early", Fault::StartClaimsEarly)
    };
    assert_breaks(config, property::NOT_BEFORE_START);
}

/// The owner cancels an operation that sleeps, and the process dies before it sends the callback's
/// message. The dispatch message would lead to the callback, but is hidden for longer than the
/// record is kept.
#[test]
fn a_sleep_hides_its_message_for_days() {
    let config = Config {
        payloads: false,
        cancel: true,
        expiry: true,
        callback_attempts_max: 1,
        ..disturbed("sleep hides its message", Fault::SleepHidesMessage)
    };
    assert_breaks(config, property::CALLBACK_ENDS);
}

/// With one worker: two would make ever more messages of one.
#[test]
fn the_message_of_an_absent_operation_is_sent_afresh() {
    let config = Config {
        workers: 1,
        ..disturbed("absent sent afresh", Fault::AbsentSentAfresh)
    };
    assert!(!every_behaviour_ends(&Ferry { config }));
}

#[test]
fn a_message_is_acknowledged_before_the_fresh_one_is_sent() {
    let fault = Fault::AcknowledgedBeforeFresh;
    let config = disturbed("acknowledged before the fresh one", fault);
    assert_breaks(config.clone(), property::HAS_A_MESSAGE);
    assert_breaks(config, property::ENDS);
}

#[test]
fn a_worker_that_has_continued_acknowledges() {
    let config = broken("continue acknowledges", Fault::ContinueAcknowledges);
    assert_breaks(config, property::HAS_A_MESSAGE);
}

#[test]
fn a_worker_that_reads_first_acknowledges_a_busy_message() {
    let fault = Fault::ReadFirstAcknowledgesBusy;
    let config = disturbed("read first, then acknowledged while busy", fault);
    assert_breaks(config.clone(), property::HAS_A_MESSAGE);
    assert_breaks(config, property::ENDS);
}

#[test]
fn a_worker_leaves_a_state_whose_operation_is_gone() {
    let config = Config {
        cancel: true,
        erases: 1,
        ..broken("late state stays", Fault::LateResultStays)
    };
    assert_breaks(config, property::NOTHING_LEFT);
}

/// The continue is recorded and its response lost. Before the SDK retries it, the lease ends and
/// another worker claims, so the retry is refused.
#[test]
fn a_worker_whose_continue_was_refused_deletes_its_state() {
    let fault = Fault::DiscardsWhateverItMet;
    let config = disturbed("discards whatever it met", fault);
    assert_breaks(config, property::OWN_PAYLOADS);
}

#[test]
fn a_redrive_reopens_the_failed_operation() {
    let config = Config {
        submits: 2,
        ..broken("redrive reopens", Fault::RedriveReopens)
    };
    assert_breaks(config, property::ONE_END);
}

/// Two requests for one redrive.
fn redriven_twice(name: &'static str, fault: Fault) -> Config {
    Config {
        submits: 2,
        redrive: true,
        ..broken(name, fault)
    }
}

#[test]
fn a_redrive_has_a_random_id() {
    let fault = Fault::RedriveUnderRandomId;
    let config = redriven_twice("redrive under a random id", fault);
    assert_breaks(config, property::REDRIVEN_ONCE);
}

#[test]
fn a_redrive_expires_before_the_operation_that_it_came_from() {
    let config = Config {
        expiry: true,
        ..redriven_twice("redrive expires first", Fault::RedriveExpiresFirst)
    };
    assert_breaks(config, property::REDRIVEN_ONCE);
}

/// A redelivery of the failed operation's callback extends its record, and so for longer than the
/// redrive is kept.
#[test]
fn an_operation_is_redriven_past_its_retention() {
    let fault = Fault::RedrivenPastRetention;
    let config = Config {
        expiry: true,
        source_goes: true,
        ..redriven_twice("redriven past its retention", fault)
    };
    assert_breaks(config, property::REDRIVEN_ONCE);
}
