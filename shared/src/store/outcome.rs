//! What became of a write, derived from the item that refused it.

use super::StoreError;
use super::item::{self, Item, name, number, text};
use crate::domain::id::{ClaimId, CreateId};
use crate::domain::operation::{Availability, Operation, Owner, Progress, State};
use crate::domain::time::Timestamp;
use crate::domain::transition::Status;

#[derive(Debug)]
pub enum CreateOutcome {
    /// The operation was created, by this call.
    New,
    /// The id was taken: by an earlier submit under the same key, or by chance.
    Existing(Box<Operation>),
    /// The id belonged to an operation that was erased after this create had begun. Nothing was
    /// written. A create that begins now is not refused, provided that the clocks are right.
    Erased,
}

/// What a read finds of one incarnation of an operation.
#[derive(Debug)]
pub enum Lookup {
    Present(Box<Operation>),
    /// DynamoDB has not deleted the expired record yet.
    Expired(Box<Operation>),
    /// Its owner erased it, and its tombstone still exists.
    Erased,
    /// Another incarnation has taken its id, because it had expired or was erased.
    OtherIncarnation(Box<Operation>),
    /// DynamoDB has deleted the record, long after the operation expired or was erased.
    Absent,
}

/// An operation held under one claim: the fencing token for all writes of its holder.
#[derive(Debug, Clone)]
pub struct Held {
    pub(super) operation: Operation,
    pub(super) claim_id: ClaimId,
    /// The head as it was claimed, with the progress that was set: it determines how much room a
    /// payload has.
    pub(super) head: Item,
}

impl Held {
    /// The operation as it was claimed, with the progress that was set.
    #[must_use]
    pub const fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Sets the work's last progress. The write of its outcome includes it, since the heartbeats
    /// may not have written it. It must be at least what the record has.
    pub fn set_progress(&mut self, progress: Progress) {
        for (name, value) in item::progress(&progress) {
            match value {
                Some(value) => self.head.insert(name.to_owned(), value),
                None => self.head.remove(name),
            };
        }
        self.operation.progress = Some(progress);
    }
}

#[derive(Debug)]
pub enum ClaimOutcome {
    /// Held by this claim until the lease ends.
    Held(Box<Held>),
    /// There is no record. A submit may still create it.
    Absent,
    /// It has expired or was erased. No submit creates this incarnation again.
    Gone,
    /// It expired while a callback was due for which no wake-up was sent.
    ExpiredWithCallback,
    /// Message and record are of different incarnations. A worker never touches such a record.
    OtherIncarnation,
    /// Another worker holds it, or it is in backoff, waits to continue or has not started.
    Busy {
        until: Timestamp,
    },
    /// No worker holds it, and it may not be claimed: its attempts are used up, or its deadline has
    /// passed.
    Exhausted(Box<Operation>),
    Ended(Box<Operation>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewOutcome {
    /// Still held, and the lease ends when this call asked for, or later.
    Held,
    /// No longer held: the owner cancelled the operation, and may have erased it since.
    Cancelled,
    /// No longer held: another worker claimed the operation after the lease had passed, or its
    /// record is gone.
    Lost,
}

#[derive(Debug)]
pub enum FinishOutcome {
    /// Written, by this call or by an earlier try whose response was lost. When another attempt
    /// follows, the operation may have changed since.
    Written(Box<Operation>),
    /// No longer held. Nothing was written.
    Lost,
}

#[derive(Debug)]
pub enum GiveUpOutcome {
    Ended {
        operation: Box<Operation>,
        /// Whether this call ended it. False for a call that finds its own write after a lost
        /// response, since it cannot be distinguished from another's.
        by_us: bool,
    },
    /// It changed meanwhile and must not be given up now.
    Changed,
}

#[derive(Debug)]
pub enum CancelOutcome {
    /// The operation as it is now.
    Cancelled {
        operation: Box<Operation>,
        /// Whether this call cancelled it. False for a call that finds its own write after a lost
        /// response, since it cannot be distinguished from another's.
        by_us: bool,
    },
    /// It had completed or failed before.
    Ended(Box<Operation>),
    /// It does not meet the preconditions.
    PreconditionFailed,
    /// There is no such operation, it has expired, or another owner has it.
    Absent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EraseOutcome {
    /// Only a tombstone is left, which no caller sees.
    Erased,
    /// It has not ended.
    Live,
    /// It does not meet the preconditions.
    PreconditionFailed,
    /// There is no such operation, it has expired, or another owner has it.
    Absent,
}

/// The operation that a read or a refused write found; `None` when it is absent, was erased or has
/// expired.
pub(super) fn visible(old: Option<&Item>, now: Timestamp) -> Result<Option<Operation>, StoreError> {
    // An erased operation is absent whatever the clock says, and its tombstone cannot be read as an
    // operation.
    let Some(old) = old.filter(|old| !old.is_empty() && !item::is_erased(old)) else {
        return Ok(None);
    };
    // Expiry is checked before the format: an expired record is absent, so its format no longer
    // matters.
    if item::expires_at(old)? <= now {
        return Ok(None);
    }
    item::operation(old).map(Some)
}

/// What a read found of one incarnation.
pub(super) fn lookup(
    item: Option<&Item>,
    create_id: &CreateId,
    now: Timestamp,
) -> Result<Lookup, StoreError> {
    if let Some(operation) = visible(item, now)? {
        let operation = Box::new(operation);
        return Ok(if operation.create_id == *create_id {
            Lookup::Present(operation)
        } else {
            Lookup::OtherIncarnation(operation)
        });
    }
    Ok(match item.filter(|item| has_create_id(item, create_id)) {
        Some(head) if item::is_erased(head) => Lookup::Erased,
        // An expired record that this code cannot read is absent.
        Some(expired) => item::operation(expired).map_or(Lookup::Absent, |operation| {
            Lookup::Expired(Box::new(operation))
        }),
        None => Lookup::Absent,
    })
}

pub(super) fn has_create_id(item: &Item, create_id: &CreateId) -> bool {
    item.get(name::CREATE_ID) == Some(&text(create_id.as_str()))
}

/// The item, unless another owner has it. Checked before any other attribute is read: to another
/// owner, a record that this code cannot read is as absent as one that it can read.
pub(super) fn owned_by<'a>(item: Option<&'a Item>, owner: &Owner) -> Option<&'a Item> {
    item.filter(|item| item.get(name::OWNER) == Some(&text(owner.as_str())))
}

/// What a refused create found.
pub(super) fn of_refused_create(
    old: &Item,
    create_id: &CreateId,
) -> Result<CreateOutcome, StoreError> {
    if has_create_id(old, create_id) {
        // Our own write, whose response was lost, whatever has become of the operation since. This
        // includes its tombstone.
        return Ok(CreateOutcome::New);
    }
    if item::is_erased(old) {
        return Ok(CreateOutcome::Erased);
    }
    item::operation(old).map(|existing| CreateOutcome::Existing(Box::new(existing)))
}

/// What a refused claim found.
pub(super) fn of_refused_claim(
    old: Option<&Item>,
    create_id: &CreateId,
    claim_id: ClaimId,
    now: Timestamp,
) -> Result<ClaimOutcome, StoreError> {
    let operation = match lookup(old, create_id, now)? {
        Lookup::Present(operation) => *operation,
        Lookup::OtherIncarnation(_) => return Ok(ClaimOutcome::OtherIncarnation),
        Lookup::Expired(operation) if operation.needs_first_wake_up() => {
            return Ok(ClaimOutcome::ExpiredWithCallback);
        }
        Lookup::Expired(_) | Lookup::Erased => return Ok(ClaimOutcome::Gone),
        Lookup::Absent => return Ok(ClaimOutcome::Absent),
    };
    if let State::Processing {
        claim_id: holder, ..
    } = &operation.state
        && *holder == claim_id
    {
        // Our own claim, whose response was lost.
        let head = old.expect("an operation was read from the head");
        return Ok(ClaimOutcome::Held(Box::new(Held {
            operation,
            claim_id,
            head: head.clone(),
        })));
    }
    Ok(match operation.availability(now) {
        Availability::Busy { until } => ClaimOutcome::Busy { until },
        // A claimable record refuses no claim. Should one do so, `give_up_errors` has nothing for
        // it, and the worker returns the message for a second.
        Availability::Claimable | Availability::Exhausted => {
            ClaimOutcome::Exhausted(Box::new(operation))
        }
        Availability::Ended => ClaimOutcome::Ended(Box::new(operation)),
    })
}

/// What a refused heartbeat found. The operation is still held if the record has the claim and its
/// version. The lease was then extended further by a later heartbeat that arrived first, or before
/// the clock was set back, and this heartbeat has nothing to add.
pub(super) fn of_refused_renewal(
    old: Option<&Item>,
    held: &Held,
    now: Timestamp,
) -> Result<RenewOutcome, StoreError> {
    let claim_id = text(held.claim_id.as_str());
    let lock_version = number(held.operation.lock_version);
    let held_head = old.filter(|old| {
        old.get(name::CLAIM_ID) == Some(&claim_id)
            && old.get(name::LOCK_VERSION) == Some(&lock_version)
    });
    Ok(match visible(held_head, now)? {
        Some(_) => RenewOutcome::Held,
        None if old.is_some_and(|old| is_cancelled(old, held)) => RenewOutcome::Cancelled,
        None => RenewOutcome::Lost,
    })
}

/// Whether the owner ended the held operation. An erase, and another submit under the same key, may
/// follow a cancel before the next heartbeat. A tombstone and another operation's record do not say
/// how this operation ended. Both count as ended by the owner: a caller who cancels, erases and
/// submits again must not count as a lost lease.
fn is_cancelled(old: &Item, held: &Held) -> bool {
    if !has_create_id(old, &held.operation.create_id) {
        return true;
    }
    match old.get(name::STATUS) {
        Some(status) => *status == text(Status::Cancelled.as_str()),
        None => item::is_erased(old),
    }
}

/// What a refused outcome found: a success when the record shows that this holder wrote this
/// outcome.
pub(super) fn of_refused_finish(
    old: Option<Operation>,
    held: &Held,
    target: Status,
) -> FinishOutcome {
    match old {
        Some(operation)
            if operation.create_id == held.operation.create_id
                && operation.lock_version == held.operation.lock_version + 1
                && operation.status() == target
                && operation.claim_id() == Some(&held.claim_id) =>
        {
            FinishOutcome::Written(Box::new(operation))
        }
        _ => FinishOutcome::Lost,
    }
}
