//! Message, then record.

use shared::domain::callback::Callback;
use shared::domain::fingerprint;
use shared::domain::id::{CreateId, OperationId};
use shared::domain::limits::{CALLBACK_RETENTION_SECS, EXPIRY_MARGIN, SEND_TO_CREATE_MAX};
use shared::domain::operation::{Operation, Owner, Payload, State};
use shared::domain::time::Timestamp;
use shared::http::Problem;
use shared::metrics::{self, Metric};
use shared::queue::Dispatch;
use shared::store::{Created, Draft};
use shared::telemetry::{record_operation_id, record_trace};

use crate::Submit;
use crate::submission::{Deadline, Idempotency, Submission};

/// Draws of a random name before giving up. A second is needed about once in 10¹⁹ submits.
const DRAWS_MAX: u32 = 3;

/// What became of a submission.
pub(crate) enum Accepted {
    /// It is an operation now.
    New(Box<Operation>),
    /// It was before, under the same key; as it is now.
    Replayed(Box<Operation>),
    /// Its key was used for another request; what came of that one, as it is now.
    Conflict(Box<Operation>),
}

impl Submit {
    /// Makes an operation of a submission: one message and one write, and one write more for each payload that is large; with an
    /// idempotency key half a read unit before them. A replay is a read and a half, and sends and writes nothing.
    pub(crate) async fn accept(
        &self,
        owner: &Owner,
        submission: &Submission,
    ) -> Result<Accepted, Problem> {
        for _ in 0..DRAWS_MAX {
            let now = self.clock.now();
            let operation = self.operation(owner, submission, now);
            record_operation_id(&operation.id);
            if let Some(idempotency) = &submission.idempotency {
                // Half of the race only: a submit of the same key that creates after this read is met
                // by the create.
                let existing = self.store.existing_for(&operation.id, owner, now).await?;
                if let Some(existing) = existing {
                    return Ok(repeated(Box::new(existing), idempotency));
                }
            }
            let existing = match self.send_and_create(&operation).await? {
                Created::New => {
                    tell(Metric::SubmitAccepted(&operation.function), &operation);
                    return Ok(Accepted::New(Box::new(operation)));
                }
                Created::Existing(existing) => existing,
                Created::Erased => {
                    tracing::warn!("submit met the mark of an operation just erased");
                    return Err(Problem::unavailable());
                }
            };
            let is_ours = existing.owner == *owner;
            let Some(idempotency) = submission.idempotency.as_ref().filter(|_| is_ours) else {
                // A random name that is taken, or a key's that is another owner's by a collision of hashes: its record is none of
                // ours. The message just sent names another incarnation and will be dropped.
                continue;
            };
            return Ok(repeated(existing, idempotency));
        }
        tracing::error!("no free operation id in {DRAWS_MAX} draws");
        Err(Problem::unavailable())
    }

    async fn send_and_create(&self, operation: &Operation) -> Result<Created, Problem> {
        let message = Dispatch::of(operation);
        let draft = Draft::new(operation);
        let mut sent_at = self.clock.now();
        let announced = async {
            let (sent, written) = futures_util::join!(
                self.dispatch.send(&message, 0),
                self.store.write_payloads(&draft)
            );
            sent?;
            written?;
            // A crash here leaves a message without a record, and perhaps payload items without a head. The worker drops the
            // message once no submit can still create the record; the items expire.
            while self.clock.now().since(sent_at) > SEND_TO_CREATE_MAX {
                // The worker may be about to drop that message as one whose submit died: this record needs a younger one.
                sent_at = self.clock.now();
                self.dispatch.send(&message, 0).await?;
            }
            Ok(())
        };
        if let Err(problem) = announced.await {
            // No record will name them, and without one their owner cannot erase them.
            self.store.delete_payloads(&draft).await;
            return Err(problem);
        }
        let created = self.store.create(&draft, self.clock.now()).await?;
        match created {
            Created::New => {}
            // As above. A crash here leaves them to their expiry.
            Created::Existing(_) | Created::Erased => self.store.delete_payloads(&draft).await,
        }
        Ok(created)
    }

    fn operation(&self, owner: &Owner, submission: &Submission, now: Timestamp) -> Operation {
        let entry = submission.entry;
        let idempotency = submission.idempotency.as_ref();
        let id = match idempotency {
            Some(idempotency) => {
                let (salt, owner) = (&self.id_salt, owner.as_str());
                let (version, key) = (submission.version.as_deref(), &idempotency.key);
                fingerprint::operation_id(salt, owner, entry.name, version, key)
            }
            None => OperationId::from_bytes(self.random.bytes()),
        };
        let callback = submission
            .callback
            .clone()
            .map(|(url, events)| Callback::new(url, events));
        let retention_secs = match &callback {
            Some(_) => submission.ttl_secs.max(CALLBACK_RETENTION_SECS),
            None => submission.ttl_secs,
        };
        let deadline_at = match submission.deadline {
            Deadline::After(time) => now + time,
            Deadline::At(deadline_at) => deadline_at,
        };
        Operation {
            id,
            create_id: CreateId::from_bytes(self.random.bytes()),
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
            deadline_at,
            expires_at: Timestamp::from_secs((deadline_at + EXPIRY_MARGIN).as_secs()),
            retention_secs,
            started_at: None,
            progress: None,
            last_error: None,
            arguments: Payload::Inline(submission.arguments.clone()),
            metadata: Payload::Inline(submission.metadata.clone()),
            callback,
            origin: submission.origin.clone(),
        }
    }
}

/// What a submit comes to whose key an earlier one has used.
fn repeated(existing: Box<Operation>, idempotency: &Idempotency) -> Accepted {
    if existing.request_hash == Some(idempotency.request_hash) {
        tell(Metric::SubmitReplayed(&existing.function), &existing);
        Accepted::Replayed(existing)
    } else {
        tell(Metric::SubmitConflicted(&existing.function), &existing);
        Accepted::Conflict(existing)
    }
}

fn tell(what: Metric<'_>, operation: &Operation) {
    metrics::count(what);
    record_trace(operation);
    tracing::info!(
        function = operation.function,
        outcome = what.outcome(),
        "submitted"
    );
}
