//! The properties that every state must have, and the conditions that must be reachable. Quoted are
//! the promises and rules of `tests/README.md`.
//!
//! Liveness is checked in the final states, in which no action is enabled. That is enough, since
//! every behaviour reaches a final state: [`crate::check::every_behaviour_ends`].

use shared::domain::transition::Status;
use stateright::{Expectation, Property};

use crate::Ferry;
use crate::state::{
    Breach, Erase, Head, Message, Queue, Recorded, Redeliver, Response, Sender, Sending, Serving,
    Source, State, Submit, Worker,
};
use crate::store::{arguments_key, is_newer, result_key, state_key};

type Condition = fn(&Ferry, &State) -> bool;

/// "A terminal state never changes."
pub const ONE_END: &str = "a terminal state never changes";
/// "A stale holder changes nothing."
pub const STALE_HOLDER: &str = "a stale holder changes nothing";
/// "No operation is given up while it has attempts and time left."
pub const NOT_GIVEN_UP_EARLY: &str = "nothing is given up with attempts and time left";
/// "An accepted operation reaches a terminal state."
pub const ENDS: &str = "every operation ends";
/// "A due callback is delivered, or visibly given up, unless its owner erases the operation first."
pub const CALLBACK_ENDS: &str = "every due callback is delivered or given up";
/// "No callback comes before the end."
pub const NO_EARLY_CALLBACK: &str = "no callback is made before the end is recorded";
/// No sender undoes another's delivery.
pub const ROUND_STAYS_ENDED: &str = "a callback's ended round stays ended until a redelivery";
/// However often its message is received.
pub const ONE_ROUND: &str = "a redelivery starts one round at most";
/// A retried erase does not erase a successor.
pub const ONE_ERASED: &str = "an erase erases one incarnation";
/// A replay is answered from a consistent read.
pub const REPLIED: &str = "a replay is answered with an existing operation";
/// Only where nothing fails: what a crash leaves is deleted by TTL.
pub const NOTHING_LEFT: &str = "an erase leaves no payload items";
/// Every requested redelivery has a round. Two that are requested before a round has begun may
/// share it.
pub const REDELIVERED: &str = "a redelivery that was sent has its round";
/// Limits the attempts of a round.
pub const SCHEDULE: &str = "attempts keep to the schedule";
/// Limits the POSTs.
pub const POSTS: &str = "the number of POSTs is bounded";
/// The rule behind [`ENDS`], which it breaks as soon as the last message is gone.
pub const HAS_A_MESSAGE: &str =
    "a live operation has a dispatch message, or its submit is under way";
/// A start is kept.
pub const NOT_BEFORE_START: &str = "no attempt begins before the start";
/// A leg continues where the last one stopped.
pub const LAST_STATE: &str = "a leg runs with the state of the last continue";
/// A repeated redrive is a replay, unless the redrive was erased.
pub const REDRIVEN_ONCE: &str = "a failed operation is redriven once";
/// The payload items are those of the record's incarnation and attempt.
pub const OWN_PAYLOADS: &str = "a record names its own payloads";

const ALWAYS: [(&str, Condition); 19] = [
    (ONE_END, |_, state| kept(state, Breach::TerminalChanged)),
    (STALE_HOLDER, |_, state| {
        kept(state, Breach::StaleHolderWrote)
    }),
    (NOT_GIVEN_UP_EARLY, |_, state| {
        kept(state, Breach::GivenUpEarly)
    }),
    (ENDS, |_, state| {
        !state.is_final || state.record().is_none_or(|head| head.status.is_terminal())
    }),
    (CALLBACK_ENDS, |_, state| {
        // An expired record counts as well: it has to outlast its callback.
        let kept = state.head.as_ref().filter(|head| !head.erased);
        !state.is_final || !kept.is_some_and(Head::callback_is_due)
    }),
    (NO_EARLY_CALLBACK, |_, state| {
        kept(state, Breach::PostedEarly)
    }),
    (ROUND_STAYS_ENDED, |_, state| {
        kept(state, Breach::EndedRoundChanged)
    }),
    (ONE_ROUND, |_, state| kept(state, Breach::RoundStartedAgain)),
    (ONE_ERASED, |_, state| kept(state, Breach::SuccessorErased)),
    (REPLIED, |_, state| kept(state, Breach::RepliedFromNothing)),
    (NOTHING_LEFT, |model, state| {
        let is_faultless = model.config.budget.faults == 0;
        !(is_faultless && state.is_final && state.tombstone.is_some()) || state.items.is_empty()
    }),
    (REDELIVERED, |_, state| {
        !state.is_final
            || state
                .redeliveries
                .iter()
                .all(|it| had_its_round(state, *it))
    }),
    (SCHEDULE, |model, state| {
        let callback = state.head.as_ref().and_then(|head| head.callback.as_ref());
        callback
            .is_none_or(|callback| callback.round_attempts <= model.config.callback_attempts_max)
    }),
    (POSTS, |model, state| state.posts <= model.config.posts_max),
    (OWN_PAYLOADS, names_its_own_payloads),
    (HAS_A_MESSAGE, |_, state| has_a_message(state)),
    (NOT_BEFORE_START, |_, state| {
        kept(state, Breach::ClaimedEarly)
    }),
    (LAST_STATE, |_, state| kept(state, Breach::OtherState)),
    (REDRIVEN_ONCE, |_, state| kept(state, Breach::RedrivenAgain)),
];

/// The conditions that a configuration may require to be reachable.
pub const REACHABLE: [(&str, Condition); 29] = [
    ("completed", |_, state| ended_as(state, Status::Completed)),
    ("failed", |_, state| ended_as(state, Status::Failed)),
    ("cancelled", |_, state| ended_as(state, Status::Cancelled)),
    ("given up", |_, state| {
        any_worker(state, |_, serving| {
            matches!(serving, Serving::GiveUp { .. })
        })
    }),
    ("claimed after a lost lease", |_, state| {
        state.record().is_some_and(|head| head.attempt == 2)
            && any_worker(state, |_, serving| {
                matches!(serving, Serving::Work { attempt: 1, .. })
            })
    }),
    ("fenced-off holder of an earlier incarnation", |_, state| {
        any_worker(state, |create, serving| {
            matches!(serving, Serving::Work { .. })
                && state.record().is_some_and(|head| head.create != create)
        })
    }),
    ("message received twice at once", |_, state| {
        state
            .messages
            .iter()
            .any(|message| message.holders.count_ones() > 1)
    }),
    ("create meets itself", |_, state| {
        (0..).zip(state.submits).any(|(create, submit)| {
            submit == Submit::CreateAgain && state.record_of(create).is_some()
        })
    }),
    ("replayed", |_, state| answered(state, Response::Replayed)),
    ("conflict", |_, state| answered(state, Response::Conflict)),
    ("id reused", |_, state| {
        state.record().is_some()
            && state
                .submits
                .iter()
                .all(|submit| *submit == Submit::Answered(Response::Accepted))
    }),
    ("dead letter sent afresh", |_, state| {
        any_worker(state, |_, serving| serving == Serving::SendAfresh)
    }),
    ("delivered", |_, state| {
        recorded_as(state, Recorded::Delivered)
    }),
    ("gone", |_, state| recorded_as(state, Recorded::Gone)),
    ("exhausted", |_, state| {
        recorded_as(state, Recorded::Exhausted)
    }),
    ("delivered after a deferral", |model, state| {
        state.budget.deferrals < model.config.budget.deferrals
            && recorded_as(state, Recorded::Delivered)
    }),
    ("exhausted by the dead letters", |_, state| {
        state.senders.iter().any(|sender| {
            matches!(
                sender,
                Sender::Serves {
                    dead: true,
                    next: Sending::Record(..),
                    ..
                }
            )
        })
    }),
    ("redelivered", |_, state| state.rounds != 0),
    ("erased with a successor", |_, state| {
        state.erases.iter().any(|erase| {
            let Erase::LeaveTombstone(create) = *erase else {
                return false;
            };
            state.record().is_some_and(|head| head.create != create)
        })
    }),
    ("third leg", |_, state| {
        any_worker(state, |create, serving| {
            matches!(serving, Serving::Work { attempt, .. }
                if holds(state, create, attempt) && continued(state, create) == Some(2))
        })
    }),
    ("second attempt of a second leg", |_, state| {
        any_worker(state, |create, serving| {
            matches!(serving, Serving::Work { attempt: 3, .. }
                if holds(state, create, 3) && continued(state, create) == Some(1))
        })
    }),
    ("given up after a continue", |_, state| {
        any_worker(state, |create, serving| {
            matches!(serving, Serving::GiveUp { .. }) && continued(state, create) > Some(0)
        })
    }),
    ("sent afresh while it waits", |model, state| {
        state.budget.resends < model.config.budget.resends
    }),
    ("two dispatch messages", |_, state| {
        let of = |message: &&Message| message.queue == Queue::Dispatch;
        state.messages.iter().filter(of).count() > 1
    }),
    ("waits for its start", |_, state| {
        state
            .record()
            .is_some_and(|head| head.status == Status::Pending && !head.lease_over)
    }),
    ("older worker meets a newer record", |model, state| {
        state.budget.older < model.config.budget.older
            && state
                .record()
                .is_some_and(|head| is_newer(&model.config, head))
    }),
    ("redriven although its source is gone", |_, state| {
        state.redriven && state.record().is_some() && state.source == Source::Deleted
    }),
    ("create meets its own tombstone", |_, state| {
        meets_tombstone(state, |create, erased| create == erased)
    }),
    ("create meets its successor's tombstone", |_, state| {
        meets_tombstone(state, |create, erased| create != erased)
    }),
];

/// The properties that are checked for a configuration.
pub(crate) fn of(model: &Ferry) -> Vec<Property<Ferry>> {
    let always = ALWAYS
        .into_iter()
        .map(|(name, condition)| Property::always(name, condition));
    let reachable = REACHABLE
        .into_iter()
        .filter(|(name, _)| model.config.reaches.contains(name))
        .map(|(name, condition)| Property {
            expectation: Expectation::Sometimes,
            name,
            condition,
        });
    always.chain(reachable).collect()
}

const fn kept(state: &State, breach: Breach) -> bool {
    state.breaches & breach as u16 == 0
}

fn names_its_own_payloads(model: &Ferry, state: &State) -> bool {
    let Some(head) = state.record().filter(|_| model.config.payloads) else {
        return true;
    };
    let holds = |key, of| {
        state
            .items
            .iter()
            .any(|item| item.key == key && item.of == of)
    };
    let arguments = arguments_key(&model.config, head.create);
    let result = result_key(&model.config, head.create, head.attempt);
    let state_item = head
        .state
        .map(|attempt| (state_key(&model.config, head.create, attempt), attempt));
    holds(arguments, (head.create, 0))
        && state_item.is_none_or(|(key, attempt)| holds(key, (head.create, attempt)))
        && (head.status != Status::Completed || holds(result, (head.create, head.attempt)))
}

fn has_a_message(state: &State) -> bool {
    let Some(head) = state.record().filter(|head| !head.status.is_terminal()) else {
        return true;
    };
    let is_its = |message: &Message| {
        let is_primary = matches!(message.queue, Queue::Dispatch | Queue::DispatchDeadLetters);
        is_primary && message.create == head.create
    };
    !state.submit_is_over(head.create) || state.messages.iter().any(is_its)
}

/// Whether the record is of this incarnation and its attempt is this one.
fn holds(state: &State, create: u8, attempt: u8) -> bool {
    state
        .record_of(create)
        .is_some_and(|head| head.attempt == attempt)
}

/// The attempt that the record of an incarnation continues from.
fn continued(state: &State, create: u8) -> Option<u8> {
    state.record_of(create).and_then(|head| head.continued)
}

fn had_its_round(state: &State, redelivery: Redeliver) -> bool {
    let Redeliver::Sent(create, attempts_made) = redelivery else {
        return true;
    };
    let callback = state
        .record_of(create)
        .and_then(|head| head.callback.as_ref());
    callback.is_none_or(|callback| callback.attempts_made > attempts_made)
}

fn meets_tombstone(state: &State, is: impl Fn(u8, u8) -> bool) -> bool {
    state.tombstone.is_some_and(|erased| {
        (0..)
            .zip(state.submits)
            .any(|(create, submit)| submit == Submit::CreateAgain && is(create, erased))
    })
}

fn ended_as(state: &State, status: Status) -> bool {
    state.record().is_some_and(|head| head.status == status)
}

fn recorded_as(state: &State, recorded: Recorded) -> bool {
    state
        .record()
        .and_then(|head| head.callback.as_ref())
        .is_some_and(|callback| callback.recorded == Some(recorded))
}

fn answered(state: &State, response: Response) -> bool {
    state.submits.contains(&Submit::Answered(response))
}

fn any_worker(state: &State, is: impl Fn(u8, Serving) -> bool) -> bool {
    state
        .workers
        .iter()
        .any(|worker| matches!(*worker, Worker::Serves(create, serving) if is(create, serving)))
}
