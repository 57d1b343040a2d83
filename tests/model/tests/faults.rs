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
        tries_max: 1,
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
fn the_record_of_a_try_asks_for_nothing() {
    let config = Config {
        start: Start::Ended,
        tries_max: 2,
        ..broken(
            "unconditional record of a try",
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
        tries_max: 1,
        ..broken("wake-up trusted", Fault::WakeUpTrusted, 0, 0)
    };
    assert_breaks(config, property::NOT_TOLD_EARLY);
}

/// Two senders have one message, and both post. One records a try that failed and dies before it sends the next wake-up; the
/// other, whose record is refused, acknowledges, and with that deletes the message that would have healed the first.
#[test]
fn a_refused_sender_acknowledges_the_message_that_another_relies_on() {
    let config = Config {
        start: Start::Ended,
        workers: 1,
        tries_max: 2,
        ..broken(
            "refused sender acknowledges",
            Fault::RefusedSenderAcknowledges,
            1,
            0,
        )
    };
    assert_breaks(config, property::CALLBACK_SETTLED);
}
