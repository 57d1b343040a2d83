//! The sequential specification: what each call would return if the calls for one operation ran one
//! after the other.
//!
//! The transition table decides which steps are legal. The test checks that the conditional writes
//! agree with it.

use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;
use shared::domain::transition::{Status, Step, Verdict, verdict};
use todc_utils::specifications::Specification;

use super::super::{LEASE, NOW, secs};
use super::DEADLINE_SECS;

/// A call of the store, with the time that it was given. Tokens are numbers.
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
    Continue {
        fence: Fence,
        resumes_at: Timestamp,
    },
    GiveUp {
        create_id: u8,
        lock_version: u64,
        now: Timestamp,
    },
    Cancel,
    Get,
}

/// What a holder's writes must match.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fence {
    pub(super) claim_id: u8,
    pub(super) lock_version: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Response {
    Created,
    Existing(Observed),
    Claimed(Observed),
    Busy { until: Timestamp },
    Exhausted(Observed),
    Ended(Observed),
    OtherIncarnation,
    Absent,
    Renewed,
    Written(Observed),
    Lost,
    MovedOn,
    Cancelled { observed: Observed, by_us: bool },
    CannotCancel,
    Is(Observed),
}

/// The parts of an operation that responses are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Observed {
    pub(super) create_id: u8,
    pub(super) status: Status,
    pub(super) lock_version: u64,
    pub(super) attempt: u32,
}

impl Observed {
    pub(super) fn of(operation: &Operation, create_id: u8) -> Self {
        Self {
            create_id,
            status: operation.status(),
            lock_version: operation.lock_version,
            attempt: operation.attempt,
        }
    }
}

/// The sample operation's limit of claims in a leg.
pub(super) const ATTEMPTS_MAX: u32 = 3;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Model {
    record: Option<Record>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Record {
    observed: Observed,
    attempts_max: u32,
    claim_id: Option<u8>,
    lease_until: Timestamp,
}

impl Model {
    fn create(&mut self, create_id: u8) -> Response {
        let from = self.record.as_ref().map(|record| record.observed);
        let Verdict::To(status) = verdict(from.map(|observed| observed.status), Step::Create)
        else {
            let existing = from.unwrap();
            // Its own record, created before.
            return if existing.create_id == create_id {
                Response::Created
            } else {
                Response::Existing(existing)
            };
        };
        let observed = Observed {
            create_id,
            status,
            lock_version: 1,
            attempt: 0,
        };
        self.record = Some(Record {
            observed,
            attempts_max: ATTEMPTS_MAX,
            claim_id: None,
            lease_until: Timestamp::from_millis(0),
        });
        Response::Created
    }

    fn claim(&mut self, create_id: u8, claim_id: u8, now: Timestamp) -> Response {
        let Some(record) = &mut self.record else {
            return Response::Absent;
        };
        if record.observed.create_id != create_id {
            return Response::OtherIncarnation;
        }
        if !record.is_exhausted(now) && record.take(Step::Claim, now) {
            record.observed.attempt += 1;
            record.claim_id = Some(claim_id);
            record.lease_until = now + LEASE;
            return Response::Claimed(record.observed);
        }
        if record.observed.status.is_terminal() {
            Response::Ended(record.observed)
        } else if record.observed.status == Status::Processing && record.lease_until > now {
            Response::Busy {
                until: record.lease_until,
            }
        } else {
            Response::Exhausted(record.observed)
        }
    }

    fn renew(&mut self, fence: Fence, now: Timestamp) -> Response {
        match &mut self.record {
            Some(record)
                if record.is_held_by(fence) && record.target(Step::Heartbeat, now).is_some() =>
            {
                record.lease_until = record.lease_until.max(now + LEASE);
                Response::Renewed
            }
            _ => Response::Lost,
        }
    }

    fn finish(&mut self, step: Step, fence: Fence, lease_until: Option<Timestamp>) -> Response {
        let Some(record) = &mut self.record else {
            return Response::Lost;
        };
        // A holder's steps do not depend on the time.
        let now = Timestamp::from_millis(0);
        if record.is_held_by(fence) && record.take(step, now) {
            record.lease_until = lease_until.unwrap_or(record.lease_until);
            if step == Step::Continue {
                record.attempts_max = record.observed.attempt + ATTEMPTS_MAX;
            }
            return Response::Written(record.observed);
        }
        let is_its_own = record.claim_id == Some(fence.claim_id)
            && record.observed.lock_version == fence.lock_version + 1
            && record.observed.status == shared::domain::transition::target(step);
        if is_its_own {
            Response::Written(record.observed)
        } else {
            Response::Lost
        }
    }

    fn give_up(&mut self, create_id: u8, lock_version: u64, now: Timestamp) -> Response {
        let Some(record) = self
            .record
            .as_mut()
            .filter(|record| record.observed.create_id == create_id)
        else {
            return Response::MovedOn;
        };
        if record.observed.lock_version == lock_version
            && record.is_exhausted(now)
            && record.take(Step::GiveUp, now)
        {
            record.claim_id = None;
        }
        if record.observed.status.is_terminal() {
            Response::Ended(record.observed)
        } else {
            Response::MovedOn
        }
    }

    fn cancel(&mut self) -> Response {
        let Some(record) = &mut self.record else {
            return Response::Absent;
        };
        let by_us = record.take(Step::Cancel, Timestamp::from_millis(0));
        if by_us {
            record.claim_id = None;
        }
        if record.observed.status == Status::Cancelled {
            Response::Cancelled {
                observed: record.observed,
                by_us,
            }
        } else {
            Response::CannotCancel
        }
    }
}

impl Record {
    fn is_exhausted(&self, now: Timestamp) -> bool {
        self.observed.attempt >= self.attempts_max || NOW + secs(DEADLINE_SECS) <= now
    }

    fn is_held_by(&self, fence: Fence) -> bool {
        self.claim_id == Some(fence.claim_id) && self.observed.lock_version == fence.lock_version
    }

    fn target(&self, step: Step, now: Timestamp) -> Option<Status> {
        match verdict(Some(self.observed.status), step) {
            Verdict::To(to) => Some(to),
            Verdict::ToAfterLease(to) => (self.lease_until <= now).then_some(to),
            Verdict::Refused => None,
        }
    }

    /// Takes a step if it is allowed, and returns whether it was.
    fn take(&mut self, step: Step, now: Timestamp) -> bool {
        let Some(to) = self.target(step, now) else {
            return false;
        };
        self.observed.status = to;
        self.observed.lock_version += 1;
        true
    }
}

impl Model {
    fn answer(&mut self, call: &Call) -> Response {
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
            Call::Continue { fence, resumes_at } => {
                self.finish(Step::Continue, fence, Some(resumes_at))
            }
            Call::GiveUp {
                create_id,
                lock_version,
                now,
            } => self.give_up(create_id, lock_version, now),
            Call::Cancel => self.cancel(),
            Call::Get => self
                .record
                .as_ref()
                .map_or(Response::Absent, |record| Response::Is(record.observed)),
        }
    }
}

impl Specification for Model {
    type State = Self;
    /// A call with its response; `None` when the response was lost.
    type Operation = (Call, Option<Response>);

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
