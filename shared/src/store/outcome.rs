//! What became of a write: told from the item that refused it.

use super::StoreError;
use super::item::{self, Item, name, number, text};
use crate::domain::id::{ClaimId, CreateId};
use crate::domain::operation::{Availability, Operation, Owner, State};
use crate::domain::time::Timestamp;
use crate::domain::transition::Status;

/// Of [`super::Store::create`].
#[derive(Debug)]
pub enum Created {
    /// The operation is there, by this call.
    New,
    /// The name was taken: by an earlier submit under the same key, or by chance.
    Existing(Box<Operation>),
    /// The name was taken by an operation that was erased after this create was begun. Nothing was written; a create that is
    /// begun now is not refused, clocks being right.
    Erased,
}

/// What a read finds of one incarnation of an operation.
#[derive(Debug)]
pub enum Found {
    /// The operation.
    Present(Box<Operation>),
    /// It has expired. DynamoDB has not deleted its record yet.
    Expired(Box<Operation>),
    /// Its owner erased it: its mark is there.
    Erased,
    /// Another incarnation has taken its id. It had expired before, or was erased.
    Replaced(Box<Operation>),
    /// It is gone: it expired, or was erased, so long ago that DynamoDB has deleted the record.
    Absent,
}

/// An operation in the hands of one claim: the fencing token for everything that its holder writes.
#[derive(Debug, Clone)]
pub struct Held {
    pub(super) operation: Operation,
    pub(super) claim_id: ClaimId,
    /// The head's size when it was claimed: how much room it has for a result.
    pub(super) head_bytes: usize,
}

impl Held {
    /// The operation as it was claimed.
    #[must_use]
    pub const fn operation(&self) -> &Operation {
        &self.operation
    }
}

/// Of [`super::Store::claim`].
#[derive(Debug)]
pub enum Claimed {
    /// Ours until the lease ends.
    Held(Box<Held>),
    /// There is no such operation, or it has expired.
    Absent,
    /// It has expired with a callback that was due and for which no message was sent.
    ExpiredWithCallback,
    /// The record is of another incarnation than the message. It is never touched.
    OtherIncarnation,
    /// Somebody holds it, or it backs off.
    Busy {
        /// Until when.
        until: Timestamp,
    },
    /// Nobody holds it, and it may not be claimed: its attempts are used up, or its deadline has passed.
    Exhausted(Box<Operation>),
    /// It has ended.
    Ended(Box<Operation>),
}

/// Of [`super::Store::renew`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The operation is ours, and the lease lasts as long as was asked or longer.
    Held,
    /// The operation is no longer ours: its owner cancelled it, and may have erased it since.
    Cancelled,
    /// The operation is no longer ours: another worker took it over after the lease had passed, or its
    /// record is gone.
    Lost,
}

/// Of [`super::Store::complete`], [`super::Store::fail`] and [`super::Store::retry`].
#[derive(Debug)]
pub enum Finished {
    /// Written, by this call or by one whose answer was lost. Not what is there now if it was let go for another attempt.
    Written(Box<Operation>),
    /// The operation is no longer ours, and nothing was written.
    Lost,
}

/// Of [`super::Store::give_up`].
#[derive(Debug)]
pub enum GivenUp {
    /// It has ended.
    Ended {
        /// The operation.
        operation: Box<Operation>,
        /// Whether this call ended it. One that meets its own write, the answer to which was lost, takes it for another's.
        by_us: bool,
    },
    /// It is not to be given up: it moved on meanwhile.
    MovedOn,
}

/// Of [`super::Store::cancel`].
#[derive(Debug)]
pub enum CancelOutcome {
    /// The operation is cancelled, by this call or before.
    Cancelled {
        /// The operation.
        operation: Box<Operation>,
        /// Whether this call did it. A cancel that meets its own write, the answer to which was lost, takes it for another's.
        by_us: bool,
    },
    /// It had completed or failed before.
    Ended(Box<Operation>),
    /// It does not meet the preconditions.
    OtherVersion,
    /// There is no such operation, it has expired, or it is another owner's.
    Absent,
}

/// Of [`super::Store::erase`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EraseOutcome {
    /// The operation is gone with all its items, except for a mark that no read shows.
    Erased,
    /// It has not ended.
    Live,
    /// It does not meet the preconditions.
    OtherVersion,
    /// There is no such operation, it has expired, or it is another owner's.
    Absent,
}

/// The operation that a read or a refused write met; `None` for one that is not there, was erased or has expired.
pub(super) fn met(old: Option<&Item>, now: Timestamp) -> Result<Option<Operation>, StoreError> {
    // Erased is absent whatever the clock says; and what is left of it in the end is no operation to be read.
    let Some(old) = old.filter(|old| !old.is_empty() && !item::is_erased(old)) else {
        return Ok(None);
    };
    // Expired is absent before its format matters: nobody will ever read it again.
    if item::expires_at(old)? <= now {
        return Ok(None);
    }
    item::operation(old).map(Some)
}

/// What a read met of one incarnation.
pub(super) fn found(
    item: Option<&Item>,
    create_id: &CreateId,
    now: Timestamp,
) -> Result<Found, StoreError> {
    if let Some(operation) = met(item, now)? {
        let operation = Box::new(operation);
        return Ok(if operation.create_id == *create_id {
            Found::Present(operation)
        } else {
            Found::Replaced(operation)
        });
    }
    Ok(match item.filter(|item| is_of(item, create_id)) {
        Some(mark) if item::is_erased(mark) => Found::Erased,
        // Expired is absent before its format matters, so one that cannot be read is absent.
        Some(expired) => item::operation(expired).map_or(Found::Absent, |operation| {
            Found::Expired(Box::new(operation))
        }),
        None => Found::Absent,
    })
}

fn is_of(item: &Item, create_id: &CreateId) -> bool {
    item.get(name::CREATE_ID) == Some(&text(create_id.as_str()))
}

/// An item, unless it is another owner's. Looked at before anything else of it is read: a record that this code cannot read
/// is no more there for others than one that it can.
pub(super) fn of_owner<'a>(item: Option<&'a Item>, owner: &Owner) -> Option<&'a Item> {
    item.filter(|item| item.get(name::OWNER) == Some(&text(owner.as_str())))
}

/// What a refused create met.
pub(super) fn created(old: &Item, create_id: &CreateId) -> Result<Created, StoreError> {
    if old.get(name::CREATE_ID) == Some(&text(create_id.as_str())) {
        // Our own write, whose answer was lost; whatever has become of it since, the mark of its erasure included.
        return Ok(Created::New);
    }
    if item::is_erased(old) {
        return Ok(Created::Erased);
    }
    item::operation(old).map(|existing| Created::Existing(Box::new(existing)))
}

/// What a refused claim met.
pub(super) fn claimed(
    old: Option<&Item>,
    create_id: &CreateId,
    claim_id: ClaimId,
    now: Timestamp,
) -> Result<Claimed, StoreError> {
    let operation = match found(old, create_id, now)? {
        Found::Present(operation) => *operation,
        Found::Replaced(_) => return Ok(Claimed::OtherIncarnation),
        Found::Expired(operation) if operation.callback_is_unannounced() => {
            return Ok(Claimed::ExpiredWithCallback);
        }
        Found::Expired(_) | Found::Erased | Found::Absent => return Ok(Claimed::Absent),
    };
    if let State::Processing {
        claim_id: holder, ..
    } = &operation.state
        && *holder == claim_id
    {
        // Our own claim, whose answer was lost.
        let head_bytes = old.map(item::size_bytes).unwrap_or_default();
        return Ok(Claimed::Held(Box::new(Held {
            operation,
            claim_id,
            head_bytes,
        })));
    }
    Ok(match operation.availability(now) {
        Availability::Busy { until } => Claimed::Busy { until },
        Availability::Claimable | Availability::Exhausted => {
            Claimed::Exhausted(Box::new(operation))
        }
        Availability::Ended => Claimed::Ended(Box::new(operation)),
    })
}

/// What a refused heartbeat met. Ours still, if the claim and its version stand: then the lease was renewed for longer, by a later
/// heartbeat that was faster or before the clock was set back, and this one has nothing to add.
pub(super) fn renewed(
    old: Option<&Item>,
    held: &Held,
    now: Timestamp,
) -> Result<Renewed, StoreError> {
    let claim_id = text(held.claim_id.as_str());
    let lock_version = number(held.operation.lock_version);
    let ours = old.filter(|old| {
        old.get(name::CLAIM_ID) == Some(&claim_id)
            && old.get(name::LOCK_VERSION) == Some(&lock_version)
    });
    Ok(match met(ours, now)? {
        Some(_) => Renewed::Held,
        None if old.is_some_and(|old| is_cancelled(old, held)) => Renewed::Cancelled,
        None => Renewed::Lost,
    })
}

/// Whether the owner ended what was held. A cancel may be followed by an erase and another submit
/// under the same key before the next heartbeat. The bare mark of an erase and another operation's
/// record do not say how this one ended. They count as the owner's: a caller who cancels, erases and
/// submits again must not make it look like a lost lease.
fn is_cancelled(old: &Item, held: &Held) -> bool {
    if !is_of(old, &held.operation.create_id) {
        return true;
    }
    match old.get(name::STATUS) {
        Some(status) => *status == text(Status::Cancelled.as_str()),
        None => item::is_erased(old),
    }
}

/// What a refused outcome met: a success when the record says that we wrote just this.
pub(super) fn finished(old: Option<Operation>, held: &Held, target: Status) -> Finished {
    match old {
        Some(operation)
            if operation.create_id == held.operation.create_id
                && operation.lock_version == held.operation.lock_version + 1
                && operation.status() == target
                && claim_of(&operation) == Some(&held.claim_id) =>
        {
            Finished::Written(Box::new(operation))
        }
        _ => Finished::Lost,
    }
}

fn claim_of(operation: &Operation) -> Option<&ClaimId> {
    match &operation.state {
        State::Processing { claim_id, .. } | State::Completed { claim_id, .. } => Some(claim_id),
        State::Failed { claim_id, .. } => claim_id.as_ref(),
        State::Pending | State::Cancelled { .. } => None,
    }
}
