//! One operation, one call after the other: what every call would answer if it had the store to itself.
//!
//! Which steps are legal is asked of the transition table; that the conditional writes say the same is what is being tested.

use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;
use shared::domain::transition::{Status, Step, Verdict, verdict};
use todc_utils::specifications::Specification;

use super::super::{LEASE, NOW, secs};
use super::DEADLINE_SECS;

/// A call of the store, with the time that it was given. Tokens are numbers here.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    Create {
        create_id: u8,
    },
    Claim {
        create_id: u8,
        claim_id: u8,
        now: Timestamp,
    },
    Renew {
        fence: Fence,
        now: Timestamp,
    },
    Complete {
        fence: Fence,
    },
    Fail {
        fence: Fence,
    },
    Retry {
        fence: Fence,
        next_attempt_at: Timestamp,
    },
    GiveUp {
        create_id: u8,
        lock_version: u64,
        now: Timestamp,
    },
    Cancel,
    Get,
}

/// What a holder holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fence {
    pub(super) claim_id: u8,
    pub(super) lock_version: u64,
}

/// What a call answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Created,
    Existing(Seen),
    Claimed(Seen),
    Busy { until: Timestamp },
    Exhausted(Seen),
    Ended(Seen),
    OtherIncarnation,
    Absent,
    Renewed,
    Written(Seen),
    Lost,
    MovedOn,
    Cancelled { seen: Seen, by_us: bool },
    CannotCancel,
    Is(Seen),
}

/// An operation as an answer shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) create_id: u8,
    pub(super) status: Status,
    pub(super) lock_version: u64,
    pub(super) attempt: u32,
}

impl Seen {
    pub(super) fn of(operation: &Operation, create_id: u8) -> Self {
        Self {
            create_id,
            status: operation.status(),
            lock_version: operation.lock_version,
            attempt: operation.attempt,
        }
    }
}

/// Claims that an operation may have here, as the sample says.
const ATTEMPTS_MAX: u32 = 3;

/// What is in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Model {
    record: Option<Record>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Record {
    seen: Seen,
    claim_id: Option<u8>,
    free_from: Timestamp,
}

fn is_spent(attempt: u32, now: Timestamp) -> bool {
    attempt >= ATTEMPTS_MAX || NOW + secs(DEADLINE_SECS) <= now
}

impl Model {
    fn create(&mut self, create_id: u8) -> Answer {
        let from = self.record.as_ref().map(|record| record.seen);
        let Verdict::To(status) = verdict(from.map(|seen| seen.status), Step::Create) else {
            let existing = from.unwrap();
            // Its own, made before.
            return if existing.create_id == create_id {
                Answer::Created
            } else {
                Answer::Existing(existing)
            };
        };
        let seen = Seen {
            create_id,
            status,
            lock_version: 1,
            attempt: 0,
        };
        self.record = Some(Record {
            seen,
            claim_id: None,
            free_from: Timestamp::from_millis(0),
        });
        Answer::Created
    }

    fn claim(&mut self, create_id: u8, claim_id: u8, now: Timestamp) -> Answer {
        let Some(record) = &mut self.record else {
            return Answer::Absent;
        };
        if record.seen.create_id != create_id {
            return Answer::OtherIncarnation;
        }
        if !is_spent(record.seen.attempt, now) && record.take(Step::Claim, now) {
            record.seen.attempt += 1;
            record.claim_id = Some(claim_id);
            record.free_from = now + LEASE;
            return Answer::Claimed(record.seen);
        }
        if record.seen.status.is_terminal() {
            Answer::Ended(record.seen)
        } else if record.seen.status == Status::Processing && record.free_from > now {
            Answer::Busy {
                until: record.free_from,
            }
        } else {
            Answer::Exhausted(record.seen)
        }
    }

    fn renew(&mut self, fence: Fence, now: Timestamp) -> Answer {
        match &mut self.record {
            Some(record)
                if record.is_held_by(fence) && record.may(Step::Heartbeat, now).is_some() =>
            {
                record.free_from = record.free_from.max(now + LEASE);
                Answer::Renewed
            }
            _ => Answer::Lost,
        }
    }

    fn finish(&mut self, step: Step, fence: Fence, free_from: Option<Timestamp>) -> Answer {
        let Some(record) = &mut self.record else {
            return Answer::Lost;
        };
        // A holder's steps do not ask for the time.
        let now = Timestamp::from_millis(0);
        if record.is_held_by(fence) && record.take(step, now) {
            record.free_from = free_from.unwrap_or(record.free_from);
            return Answer::Written(record.seen);
        }
        let is_its_own = record.claim_id == Some(fence.claim_id)
            && record.seen.lock_version == fence.lock_version + 1
            && record.seen.status == shared::domain::transition::target(step);
        if is_its_own {
            Answer::Written(record.seen)
        } else {
            Answer::Lost
        }
    }

    fn give_up(&mut self, create_id: u8, lock_version: u64, now: Timestamp) -> Answer {
        let Some(record) = self
            .record
            .as_mut()
            .filter(|record| record.seen.create_id == create_id)
        else {
            return Answer::MovedOn;
        };
        if record.seen.lock_version == lock_version
            && is_spent(record.seen.attempt, now)
            && record.take(Step::GiveUp, now)
        {
            record.claim_id = None;
        }
        if record.seen.status.is_terminal() {
            Answer::Ended(record.seen)
        } else {
            Answer::MovedOn
        }
    }

    fn cancel(&mut self) -> Answer {
        let Some(record) = &mut self.record else {
            return Answer::Absent;
        };
        let by_us = record.take(Step::Cancel, Timestamp::from_millis(0));
        if by_us {
            record.claim_id = None;
        }
        if record.seen.status == Status::Cancelled {
            Answer::Cancelled {
                seen: record.seen,
                by_us,
            }
        } else {
            Answer::CannotCancel
        }
    }
}

impl Record {
    fn is_held_by(&self, fence: Fence) -> bool {
        self.claim_id == Some(fence.claim_id) && self.seen.lock_version == fence.lock_version
    }

    fn may(&self, step: Step, now: Timestamp) -> Option<Status> {
        match verdict(Some(self.seen.status), step) {
            Verdict::To(to) => Some(to),
            Verdict::ToOnceFree(to) => (self.free_from <= now).then_some(to),
            Verdict::Refused => None,
        }
    }

    /// Takes a step, if it may be taken; whether it was.
    fn take(&mut self, step: Step, now: Timestamp) -> bool {
        let Some(to) = self.may(step, now) else {
            return false;
        };
        self.seen.status = to;
        self.seen.lock_version += 1;
        true
    }
}

impl Model {
    fn answer(&mut self, call: &Call) -> Answer {
        match *call {
            Call::Create { create_id } => self.create(create_id),
            Call::Claim {
                create_id,
                claim_id,
                now,
            } => self.claim(create_id, claim_id, now),
            Call::Renew { fence, now } => self.renew(fence, now),
            Call::Complete { fence } => self.finish(Step::Complete, fence, None),
            Call::Fail { fence } => self.finish(Step::Fail, fence, None),
            Call::Retry {
                fence,
                next_attempt_at,
            } => self.finish(Step::Retry, fence, Some(next_attempt_at)),
            Call::GiveUp {
                create_id,
                lock_version,
                now,
            } => self.give_up(create_id, lock_version, now),
            Call::Cancel => self.cancel(),
            Call::Get => self
                .record
                .as_ref()
                .map_or(Answer::Absent, |record| Answer::Is(record.seen)),
        }
    }
}

impl Specification for Model {
    type State = Self;
    /// With its answer; `None` for one that was lost.
    type Operation = (Call, Option<Answer>);

    fn init() -> Self {
        Self::default()
    }

    fn apply((call, answered): &Self::Operation, state: &Self) -> (bool, Self) {
        let mut next = state.clone();
        let answer = next.answer(call);
        let agrees = answered.as_ref().is_none_or(|answered| *answered == answer);
        (agrees, next)
    }
}
