//! What the protocol's rules are for: each is broken here, and the model shows what comes of it.

use model::check::assert_breaks;
use model::config::{Config, Fault, Start};
use model::property;
use model::state::Budget;

/// A protocol with one rule broken, and these many things that may go wrong besides.
fn broken(name: &'static str, fault: Fault, faults: u8, dead_letters: u8) -> Config {
    Config {
        fault: Some(fault),
        attempts_max: 2,
        budget: Budget {
            faults,
            heartbeats: 0,
            dead_letters,
            hops: 0,
            deferrals: 0,
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
    let fault = Fault::CallbackNotAnnounced;
    let config = Config {
        callback_attempts_max: 1,
        ..broken("acknowledged without the due callback", fault, 0, 0)
    };
    assert_breaks(config, property::CALLBACK_SETTLED);
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
fn messages_do_not_tell_incarnations_apart() {
    let fault = Fault::MessageWithoutCreateId;
    let config = Config {
        submits: 2,
        expiry: true,
        ..broken("message without create_id", fault, 0, 0)
    };
    assert_breaks(config, property::ENDS);
}

#[test]
fn payloads_are_under_one_name() {
    let fault = Fault::PayloadsUnderOneName;
    let config = Config {
        payloads: true,
        ..broken("payloads under one name", fault, 1, 0)
    };
    assert_breaks(config, property::OWN_PAYLOADS);
}

#[test]
fn the_record_of_an_attempt_asks_for_nothing() {
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
    assert_breaks(config, property::STAYS_SETTLED);
}

#[test]
fn the_record_of_an_outcome_asks_for_nothing() {
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
    assert_breaks(config, property::NOT_TOLD_EARLY);
}

/// Two senders have one message, and both post. One records an attempt that failed and dies before it sends the next wake-up; the
/// other, whose record is refused, acknowledges, and with that deletes the message that would have healed the first.
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
    assert_breaks(config, property::CALLBACK_SETTLED);
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
    assert_breaks(config, property::CALLBACK_SETTLED);
}

/// Two redeliveries are asked for. The sender of the first one's round dies before it acknowledges, the second one's round
/// follows, and when the first one's message comes back, the record knows of the second alone: a third round begins.
#[test]
fn a_redelivery_names_itself_and_the_record_remembers_the_last() {
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

/// Two senders have one redelivery, and both have read that its round has not begun. One starts it, records an attempt that failed
/// and dies before it sends the next wake-up; the other, whose start is refused, acknowledges.
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
    assert_breaks(config, property::CALLBACK_SETTLED);
}

/// A create is carried out and its answer lost. Before the SDK makes it again, the operation ends, its message is acknowledged,
/// and its owner, who knows it from a replay, erases it. The second create then finds nothing, and creates an operation that has
/// no message.
#[test]
fn an_erase_leaves_nothing() {
    let config = Config {
        submits: 2,
        erases: 1,
        ..broken("erase deletes the head", Fault::EraseDeletesHead, 1, 0)
    };
    assert_breaks(config, property::ENDS);
}

/// The same with an operation that expires, and that DynamoDB deletes before the create is made again.
#[test]
fn a_record_is_deleted_as_soon_as_it_has_expired() {
    let config = Config {
        expiry: true,
        ..broken("record deleted at once", Fault::DeletedAtOnce, 1, 0)
    };
    assert_breaks(config, property::ENDS);
}

/// The mark is carried out and its answer lost. Before the SDK makes it again, a second operation is created and ends.
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

/// An operation is erased, and before its create is made again a second one comes and is erased as well: the mark is that one's.
#[test]
fn a_create_goes_over_a_mark_that_is_later_than_itself() {
    let fault = Fault::CreateOverLaterMark;
    let config = Config {
        submits: 2,
        erases: 2,
        ..broken("create over a later mark", fault, 1, 0)
    };
    assert_breaks(config, property::ENDS);
}

/// An erase has marked the head. A second submit writes its arguments, the erase deletes them, and the
/// submit creates.
#[test]
fn an_erase_deletes_what_a_later_submit_has_written() {
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

/// The same with one that began before the mark, and that the mark does not refuse.
#[test]
fn a_submit_that_began_before_a_mark_creates_over_it() {
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
