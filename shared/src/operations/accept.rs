//! Accepting a submission: message, then record.
//!
//! The order of the calls is what makes a crash harmless. A crash in between leaves a message
//! without a record, which the worker drops in time. It never leaves a record without a message,
//! which no worker would ever find.

use super::submission::{IdempotencyKey, Submission, times};
use super::{Error, Operations};
use crate::catalogue::Catalogue;
use crate::domain::callback::Callback;
use crate::domain::fingerprint::{self, RequestHash};
use crate::domain::id::{CreateId, OperationId};
use crate::domain::limits::{
    CALLBACK_RETENTION_SECS, EXPIRY_MARGIN, QUEUE_DELAY_SECS_MAX, SEND_TO_CREATE_MAX,
};
use crate::domain::network::AllowedNetworks;
use crate::domain::operation::{Operation, Owner, Payload, State};
use crate::domain::time::Timestamp;
use crate::metrics::{self, Metric};
use crate::queue::{Dispatch, Queue};
use crate::schema::Validators;
use crate::store::{CreateOutcome, Draft, Payloads, StoreError};
use crate::telemetry::{chain, record_operation_id, record_trace};

/// The most random ids that one submit tries. A second is needed about once in 10¹⁹ submits.
const ID_TRIES_MAX: u32 = 3;

/// Turns submissions into operations. One per process.
///
/// For `submit` only, since it links the crate `jsonschema`: see [`crate::schema`].
pub struct Submissions {
    pub(super) operations: Operations,
    dispatch: Queue,
    pub(super) catalogue: Catalogue,
    pub(super) validators: Validators,
    pub(super) allowed_networks: AllowedNetworks,
    id_salt: String,
}

#[derive(Debug)]
pub enum AcceptOutcome {
    /// The submission is a new operation.
    New(Box<Operation>),
    /// It was accepted before, under the same key. The operation as it is now.
    Replayed(Box<Operation>),
    /// Its key was used for another request.
    Conflict {
        key: IdempotencyKey,
        /// That request's operation as it is now.
        existing: Box<Operation>,
    },
    /// Nothing was accepted; the caller should submit again.
    Unavailable,
}

/// What became of an operation that a request asked for.
pub(super) enum Accepted {
    New(Box<Operation>),
    /// An earlier request was the same. Its operation as it is now.
    Replayed(Box<Operation>),
    /// An earlier request that determined this id was another. Its operation as it is now.
    Conflict(Box<Operation>),
    /// The id is random and taken, or is another owner's by a collision of hashes.
    IdTaken,
    /// The operation under this id was erased after the request began; a retry succeeds.
    Erased,
}

impl Submissions {
    #[must_use]
    pub fn new(
        operations: Operations,
        dispatch: Queue,
        catalogue: Catalogue,
        allowed_networks: AllowedNetworks,
        id_salt: String,
    ) -> Self {
        Self {
            operations,
            dispatch,
            catalogue,
            validators: Validators::default(),
            allowed_networks,
            id_salt,
        }
    }

    /// The functions that it accepts.
    #[must_use]
    pub const fn catalogue(&self) -> Catalogue {
        self.catalogue
    }

    /// Creates the operation of a submission: one message and one write, and one more write for
    /// each external payload. An idempotency key adds half a read unit before them. A replay costs
    /// one and a half read units, and sends and writes nothing.
    ///
    /// # Errors
    ///
    /// When the store or the queue cannot be reached, or an existing record cannot be read. The
    /// operation may or may not exist.
    #[expect(clippy::missing_panics_doc, reason = "it cannot panic")]
    pub async fn accept(
        &self,
        owner: &Owner,
        submission: &Submission,
    ) -> Result<AcceptOutcome, Error> {
        for _ in 0..ID_TRIES_MAX {
            let now = self.operations.clock.now();
            let operation = self.operation(owner, submission, now);
            record_operation_id(&operation.id);
            let earlier = match &operation.request_hash {
                Some(hash) => self.earlier(&operation.id, owner, hash, now).await?,
                None => None,
            };
            let accepted = match earlier {
                Some(earlier) => earlier,
                None => self.create(operation).await?,
            };
            return Ok(match accepted {
                Accepted::New(operation) => AcceptOutcome::New(operation),
                Accepted::Replayed(operation) => AcceptOutcome::Replayed(operation),
                Accepted::Conflict(existing) => {
                    let idempotency = submission.idempotency.as_ref();
                    let key = idempotency.map(|idempotency| idempotency.key.clone());
                    let key = key.expect("only a submission with a key has a request hash");
                    AcceptOutcome::Conflict { key, existing }
                }
                Accepted::IdTaken => continue,
                Accepted::Erased => AcceptOutcome::Unavailable,
            });
        }
        tracing::error!(
            "no unused operation id after {ID_TRIES_MAX} tries; submit refused with 503"
        );
        Ok(AcceptOutcome::Unavailable)
    }

    /// What an earlier request left under an id that requests determine: half a read unit when
    /// there is nothing, and one unit more otherwise. Finds earlier requests only. One that creates
    /// after this read is caught by the condition of the create.
    async fn earlier(
        &self,
        id: &OperationId,
        owner: &Owner,
        request_hash: &RequestHash,
        now: Timestamp,
    ) -> Result<Option<Accepted>, StoreError> {
        let existing = self.operations.store.existing_for(id, owner, now).await?;
        Ok(existing.map(|existing| replay_or_conflict(Box::new(existing), request_hash)))
    }

    /// Sends an operation's message and creates its record.
    pub(super) async fn create(&self, operation: Operation) -> Result<Accepted, Error> {
        let existing = match self.send_and_create(&operation).await? {
            CreateOutcome::New => {
                report(Metric::SubmitAccepted(&operation.function), &operation);
                return Ok(Accepted::New(Box::new(operation)));
            }
            CreateOutcome::Existing(existing) => existing,
            CreateOutcome::Erased => {
                tracing::warn!(
                    "submit refused with 503: the operation under this id was erased after the \
                     submit began; a retry succeeds"
                );
                return Ok(Accepted::Erased);
            }
        };
        // The message just sent names another incarnation, so the worker drops it.
        Ok(match &operation.request_hash {
            Some(hash) if existing.owner == operation.owner => replay_or_conflict(existing, hash),
            _ => Accepted::IdTaken,
        })
    }

    /// Reads an accepted operation and its payloads for the response: at its end, or at
    /// `wait_until`.
    ///
    /// A new operation that cannot be read is returned as it was accepted; a poll may read it
    /// later. From here on nothing may turn the response into an error: a caller who gets one
    /// submits again, and without an idempotency key that is a second operation.
    ///
    /// `None` for an operation that was accepted before and was erased or has expired since: its
    /// key lets the caller submit again.
    ///
    /// # Errors
    ///
    /// When the payloads of an operation that was accepted before cannot be read.
    pub async fn read_accepted(
        &self,
        accepted: Operation,
        is_new: bool,
        wait_until: Option<Timestamp>,
    ) -> Result<Option<(Operation, Payloads)>, StoreError> {
        let operation = match wait_until {
            Some(until) => self.operations.wait(accepted.clone(), until).await,
            None => accepted.clone(),
        };
        match self.operations.payloads(&operation).await {
            Ok(Some(payloads)) => return Ok(Some((operation, payloads))),
            // Erased by its owner.
            Ok(None) if is_new => {}
            Ok(None) => return Ok(None),
            Err(error) if is_new => {
                tracing::warn!(
                    "the new operation cannot be read; the response shows it as it was accepted: {}",
                    chain(&error)
                );
            }
            Err(error) => return Err(error),
        }
        // A submission that was just accepted has all payloads inline, so nothing is read.
        let payloads = self.operations.payloads(&accepted).await?;
        Ok(payloads.map(|payloads| (accepted, payloads)))
    }

    async fn send_and_create(&self, operation: &Operation) -> Result<CreateOutcome, Error> {
        let Operations { store, clock, .. } = &self.operations;
        let mut message = Dispatch::of(operation);
        let draft = Draft::new(operation);
        let mut sent_at = clock.now();
        let until_start_secs = operation.starts_at.map_or(0, |at| at.secs_from(sent_at));
        // A message that arrives before the start would only be refused its claim.
        message.read_first = until_start_secs > QUEUE_DELAY_SECS_MAX;
        let delay_secs = until_start_secs.min(QUEUE_DELAY_SECS_MAX);
        let sent_and_written = async {
            let (sent, written) = futures_util::join!(
                self.dispatch.send(&message, delay_secs),
                store.write_payloads(&draft)
            );
            sent?;
            written?;
            // A crash here leaves a message without a record, and perhaps payload items without a
            // head. The worker drops the message once no submit can still create the record; the
            // items expire.
            while clock.now().since(sent_at) > SEND_TO_CREATE_MAX {
                // The worker may be about to drop that message as one whose submit died: this
                // record needs a younger one.
                sent_at = clock.now();
                self.dispatch.send(&message, delay_secs).await?;
            }
            Ok(())
        };
        if let Err(error) = sent_and_written.await {
            // No record will name the payload items, and without a record their owner cannot erase
            // them.
            store.delete_payloads(&draft).await;
            return Err(error);
        }
        let created = store.create(&draft, clock.now()).await?;
        match created {
            CreateOutcome::New => {}
            // As above. A crash here leaves the items to their expiry.
            CreateOutcome::Existing(_) | CreateOutcome::Erased => {
                store.delete_payloads(&draft).await;
            }
        }
        Ok(created)
    }

    pub(super) fn operation(
        &self,
        owner: &Owner,
        submission: &Submission,
        now: Timestamp,
    ) -> Operation {
        let random = &self.operations.random;
        let entry = submission.entry;
        let idempotency = submission.idempotency.as_ref();
        let id = match idempotency {
            Some(idempotency) => {
                let (salt, owner) = (&self.id_salt, owner.as_str());
                let (version, key) = (submission.version.as_deref(), &idempotency.key.key);
                fingerprint::operation_id(salt, owner, entry.name, version, key)
            }
            None => OperationId::from_bytes(random.bytes()),
        };
        let callback = submission
            .callback
            .clone()
            .map(|(url, events)| Callback::new(url, events));
        let retention_secs = match &callback {
            Some(_) => submission.ttl_secs.max(CALLBACK_RETENTION_SECS),
            None => submission.ttl_secs,
        };
        let (starts_at, deadline_at) = times(submission.start, submission.deadline, now);
        Operation {
            id,
            create_id: CreateId::from_bytes(random.bytes()),
            owner: owner.clone(),
            function: entry.name.to_owned(),
            function_version: entry.version.to_owned(),
            request_hash: idempotency.map(|idempotency| idempotency.request_hash),
            state: State::Pending,
            lock_version: 1,
            attempt: 0,
            attempts_max: entry.attempts_max,
            created_at: now,
            updated_at: now,
            starts_at,
            deadline_at,
            expires_at: Timestamp::from_secs((deadline_at + EXPIRY_MARGIN).as_secs()),
            retention_secs,
            started_at: None,
            attempt_started_at: None,
            attempts: Vec::new(),
            progress: None,
            last_error: None,
            saved_state: None,
            arguments: Payload::Inline(submission.arguments.clone()),
            metadata: Payload::Inline(submission.metadata.clone()),
            callback,
            origin: submission.origin.clone(),
            redrive_of: None,
        }
    }
}

/// What a request finds whose id an earlier one has determined.
pub(super) fn replay_or_conflict(existing: Box<Operation>, request_hash: &RequestHash) -> Accepted {
    if existing.request_hash.as_ref() == Some(request_hash) {
        report(Metric::SubmitReplayed(&existing.function), &existing);
        Accepted::Replayed(existing)
    } else {
        report(Metric::SubmitConflicted(&existing.function), &existing);
        Accepted::Conflict(existing)
    }
}

fn report(what: Metric<'_>, operation: &Operation) {
    metrics::count(what);
    record_trace(operation);
    tracing::info!(
        function = operation.function,
        outcome = what.outcome(),
        "submitted"
    );
}
