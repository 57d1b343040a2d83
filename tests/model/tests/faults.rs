//! Why the protocol has its rules: each test breaks one, and the model finds the trace that
//! follows.

use model::check::assert_breaks;
use model::config::{Config, Fault, Start};
use model::property;
use model::state::Budget;

/// The protocol with one rule broken, and with budgets of faults and dead letters.
fn broken(name: &'static str, fault: Fault, faults: u8, dead_letters: u8) -> Config {
    Config {
        fault: Some(fault),
        attempts_max: 2,
        budget: Budget {
            faults,
            dead_letters,
            ..Budget::NONE
        },
        ..Config::new(name)
    }
}

#[test]
fn record_before_message() {
    let config = broken("record before message", Fault::RecordBeforeMessage, 1, 0);
    assert_breaks(config, property::ENDS);
}

#[test]
fn a_busy_message_is_acknowledged() {
    let config = broken("busy message acknowledged", Fault::BusyAcknowledged, 1, 0);
    assert_breaks(config, property::ENDS);
}

#[test]
fn a_fenced_off_holder_acknowledges() {
    let fault = Fault::FencedOffAcknowledges;
    let config = broken("fenced-off holder acknowledges", fault, 1, 0);
    assert_breaks(config, property::ENDS);
}

#[test]
fn a_message_is_acknowledged_without_the_due_callback() {
    let fault = Fault::FirstWakeUpNotSent;
    let config = Config {
        callback_attempts_max: 1,
        ..broken("acknowledged without the due callback", fault, 0, 0)
    };
    assert_breaks(config, property::CALLBACK_ENDS);
}

#[test]
fn the_dead_letters_consumer_drops_a_young_absent_message() {
    let fault = Fault::DeadLetterDropsYoung;
    let config = broken("dead letter dropped young", fault, 0, 1);
    assert_breaks(config, property::ENDS);
}

#[test]
fn the_dead_letters_consumer_acknowledges_a_busy_message() {
    let fault = Fault::DeadLetterAcknowledgesBusy;
    let config = broken("dead letter acknowledged while busy", fault, 1, 1);
    assert_breaks(config, property::ENDS);
}

#[test]
fn the_dead_letters_consumer_gives_up_with_attempts_left() {
    let fault = Fault::DeadLetterGivesUp;
    let config = broken("dead letter given up", fault, 0, 1);
    assert_breaks(config, property::NOT_GIVEN_UP_EARLY);
}

#[test]
fn messages_do_not_distinguish_incarnations() {
    let fault = Fault::MessageWithoutCreateId;
    let config = Config {
        submits: 2,
        expiry: true,
        ..broken("message without create_id", fault, 0, 0)
    };
    assert_breaks(config, property::ENDS);
}

#[test]
fn payloads_of_all_attempts_have_one_key() {
    let fault = Fault::PayloadsUnderOneName;
    let config = Config {
        payloads: true,
        ..broken("payloads under one name", fault, 1, 0)
    };
    assert_breaks(config, property::OWN_PAYLOADS);
}

#[test]
fn the_record_of_an_attempt_is_unconditional() {
    let config = Config {
        start: Start::Ended,
        callback_attempts_max: 2,
        ..broken(
            "unconditional record of an attempt",
            Fault::UnconditionalRecord,
            0,
            0,
        )
    };
    assert_breaks(config, property::ROUND_STAYS_ENDED);
}

#[test]
fn the_record_of_an_outcome_is_not_fenced() {
    let fault = Fault::OutcomeNotFenced;
    let config = broken("outcome not fenced", fault, 0, 0);
    assert_breaks(config.clone(), property::STALE_HOLDER);
    let config = Config {
        cancel: true,
        ..config
    };
    assert_breaks(config, property::ONE_END);
}

#[test]
fn a_sender_trusts_a_wake_up() {
    let config = Config {
        submits: 2,
        expiry: true,
        callback_attempts_max: 1,
        ..broken("wake-up trusted", Fault::WakeUpTrusted, 0, 0)
    };
    assert_breaks(config, property::NO_EARLY_CALLBACK);
}

/// Two senders have one message, and both post. One records a failed attempt and crashes before it
/// sends the next wake-up. The other, whose record is refused, acknowledges and so deletes the
/// message that would have recovered the first.
#[test]
fn a_refused_sender_acknowledges_the_message_that_another_relies_on() {
    let config = Config {
        start: Start::Ended,
        workers: 1,
        callback_attempts_max: 2,
        ..broken(
            "refused sender acknowledges",
            Fault::RefusedSenderAcknowledges,
            1,
            0,
        )
    };
    assert_breaks(config, property::CALLBACK_ENDS);
}

#[test]
fn a_sender_defers_an_attempt_and_sends_no_wake_up() {
    let broken = broken("deferral sends nothing", Fault::DeferralSendsNothing, 0, 0);
    let config = Config {
        start: Start::Ended,
        callback_attempts_max: 1,
        budget: Budget {
            deferrals: 1,
            ..broken.budget
        },
        ..broken
    };
    assert_breaks(config, property::CALLBACK_ENDS);
}

/// Two redeliveries are requested. The sender of the first one's round crashes before it
/// acknowledges, and the second one's round follows. When the first one's message is received
/// again, the record knows only of the second, and a third round begins.
#[test]
fn a_redelivery_carries_its_number_and_the_record_remembers_the_last() {
    let config = Config {
        start: Start::Delivered,
        senders: 1,
        callback_attempts_max: 1,
        redeliveries: 2,
        ..broken(
            "redelivery names itself",
            Fault::RedeliveryNamesItself,
            1,
            0,
        )
    };
    assert_breaks(config, property::ONE_ROUND);
}

/// Two senders have one redelivery, and both have read that its round has not begun. One starts it,
/// records a failed attempt and crashes before it sends the next wake-up; the other, whose start is
/// refused, acknowledges.
#[test]
fn a_sender_whose_start_was_refused_acknowledges() {
    let fault = Fault::RefusedStartAcknowledges;
    let config = Config {
        start: Start::Delivered,
        workers: 1,
        callback_attempts_max: 2,
        redeliveries: 1,
        ..broken("refused start acknowledges", fault, 1, 0)
    };
    assert_breaks(config, property::CALLBACK_ENDS);
}

/// A create is applied and its response lost. Before the SDK retries it, the operation ends, its
/// message is acknowledged, and its owner, who knows it from a replay, erases it. The retry then
/// finds no record, and creates an operation that has no message.
#[test]
fn an_erase_leaves_no_tombstone() {
    let config = Config {
        submits: 2,
        erases: 1,
        ..broken("erase deletes the head", Fault::EraseDeletesHead, 1, 0)
    };
    assert_breaks(config, property::ENDS);
}

/// The same with an operation that expires and that DynamoDB deletes before the create is retried.
#[test]
fn a_record_is_deleted_as_soon_as_it_has_expired() {
    let config = Config {
        expiry: true,
        ..broken("record deleted at once", Fault::DeletedAtOnce, 1, 0)
    };
    assert_breaks(config, property::ENDS);
}

/// The mark is applied and its response lost. Before the SDK retries it, a second operation is
/// created and ends.
#[test]
fn an_erase_names_no_incarnation() {
    let fault = Fault::EraseNamesNoIncarnation;
    let config = Config {
        submits: 2,
        erases: 1,
        ..broken("erase without create_id", fault, 1, 0)
    };
    assert_breaks(config, property::ONE_ERASED);
}

/// An operation is erased, and before its create is retried a second one is created and erased as
/// well: the mark is the second one's.
#[test]
fn a_create_replaces_a_later_tombstone() {
    let fault = Fault::CreateOverLaterMark;
    let config = Config {
        submits: 2,
        erases: 2,
        ..broken("create over a later mark", fault, 1, 0)
    };
    assert_breaks(config, property::ENDS);
}

/// An erase has marked the head. A second submit writes its arguments, the erase deletes them, and
/// the submit creates its record.
#[test]
fn an_erase_deletes_the_payload_items_of_a_later_submit() {
    let config = Config {
        submits: 2,
        erases: 1,
        payloads: true,
        ..broken(
            "erase deletes later items",
            Fault::EraseDeletesLaterItems,
            0,
            0,
        )
    };
    assert_breaks(config, property::OWN_PAYLOADS);
}

/// The same with a submit that began before the mark, and that the mark does not refuse.
#[test]
fn a_submit_that_began_before_a_tombstone_replaces_it() {
    let config = Config {
        submits: 2,
        erases: 1,
        payloads: true,
        ..broken("create over a later mark", Fault::CreateOverLaterMark, 0, 0)
    };
    assert_breaks(config, property::OWN_PAYLOADS);
}

#[test]
fn a_refused_submit_leaves_its_payload_items() {
    let fault = Fault::RefusedSubmitLeavesItems;
    let config = Config {
        submits: 2,
        erases: 1,
        payloads: true,
        ..broken("refused submit leaves items", fault, 0, 0)
    };
    assert_breaks(config, property::NOTHING_LEFT);
}

#[test]
fn a_worker_leaves_a_result_whose_operation_is_gone() {
    let config = Config {
        cancel: true,
        erases: 1,
        payloads: true,
        ..broken("late result stays", Fault::LateResultStays, 0, 0)
    };
    assert_breaks(config, property::NOTHING_LEFT);
}

#[test]
fn a_replay_is_answered_from_an_eventually_consistent_read() {
    let config = Config {
        submits: 2,
        erases: 1,
        ..broken(
            "replied from a stale read",
            Fault::RepliedFromStaleRead,
            0,
            0,
        )
    };
    assert_breaks(config, property::REPLIED);
}
