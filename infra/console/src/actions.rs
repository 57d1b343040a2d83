//! What a person does to one operation, as its owner could.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use shared::domain::operation::Operation;
use shared::domain::precondition::{Preconditions, Version, Versions};
use shared::operations::{
    CancelOutcome, EraseOutcome, RedeliverOutcome, RedriveOutcome, RedriveRequest, RepeatedCancel,
};
use shared::queue::{Dispatch, WakeUp};

use crate::refusal::Refusal;
use crate::{Console, json};

/// How often a cancel is tried while the work reports progress.
const CANCEL_TRIES_MAX: u32 = 5;

/// What an action is asked with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// What the page showed, so that what has changed since is not acted on.
    #[serde(default)]
    shown: Option<Shown>,
    /// Of a redrive.
    #[serde(default)]
    from: Option<String>,
}

/// A version without its progress, which changes every second while the work runs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    created_at: String,
    lock_version: u64,
}

/// What it did.
#[derive(Serialize)]
struct Done {
    /// A sentence for the person.
    done: String,
    /// The operation to show next, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

/// `POST /api/operation/{id}/{action}`.
pub(crate) async fn act(
    State(console): State<Console>,
    Path((id, action)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let request: Request = serde_json::from_slice(&body)
        .map_err(|_| Refusal::invalid("the body must be an object with shown and from"))?;
    let mut outcome = console.act_once(&id, &action, &request).await;
    // Only live operations report progress, and of the actions only a cancel is for those.
    if action == "cancel" {
        for _ in 1..CANCEL_TRIES_MAX {
            // If it is more than its progress that changed after the read, the next read says so.
            if !matches!(&outcome, Err(refusal) if refusal.is_change()) {
                break;
            }
            outcome = console.act_once(&id, &action, &request).await;
        }
    }
    outcome.map(|done| json(&done))
}

impl Done {
    fn saying(done: impl Into<String>) -> Self {
        let (done, id) = (done.into(), None);
        Self { done, id }
    }
}

fn changed() -> Refusal {
    let sentence = "it changed meanwhile; try again";
    Refusal::new(StatusCode::PRECONDITION_FAILED, sentence)
}

fn conflict(sentence: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, sentence)
}

impl Console {
    async fn act_once(&self, id: &str, action: &str, request: &Request) -> Result<Done, Refusal> {
        let operation = self.operation(id).await?;
        if let Some(Shown {
            created_at,
            lock_version,
        }) = &request.shown
            && (operation.created_at.to_string(), operation.lock_version)
                != (created_at.clone(), *lock_version)
        {
            let sentence = format!(
                "it is {} now, and changed since the page showed it",
                operation.status()
            );
            return Err(conflict(sentence));
        }
        let (operations, id, owner) = (&self.0.operations, &operation.id, &operation.owner);
        let unchanged = Preconditions {
            if_match: Some(Versions::Listed(vec![Version::of(&operation)])),
            if_none_match: None,
        };
        match action {
            "cancel" => {
                let repeated = RepeatedCancel::Succeeds;
                let outcome = operations.cancel(id, owner, &unchanged, repeated);
                after_cancel(&outcome.await?)
            }
            "redeliver" => {
                let outcome = operations.redeliver(id, owner, &unchanged);
                after_redeliver(&outcome.await?)
            }
            "erase" => {
                let outcome = operations.erase(id, owner, &unchanged);
                after_erase(outcome.await?)
            }
            "redrive" => {
                let from = request.from.as_deref().map(str::parse).transpose();
                let from = from.map_err(|_| Refusal::invalid("from must be state or start"))?;
                let redrive = RedriveRequest {
                    from,
                    ..RedriveRequest::default()
                };
                let submissions = self.submissions();
                let outcome = submissions.redrive(id, owner, &unchanged, &redrive);
                after_redrive(&outcome.await?)
            }
            "wake" => self.wake(&operation).await,
            _ => Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "there is no such action",
            )),
        }
    }

    /// Sends the message that the operation needs, in case it is lost. An unnecessary one changes
    /// nothing.
    async fn wake(&self, operation: &Operation) -> Result<Done, Refusal> {
        if !operation.status().is_terminal() {
            self.0.dispatch.send(&Dispatch::of(operation), 0).await?;
        } else if operation.callback_is_due() {
            self.0.callbacks.send(&WakeUp::of(operation), 0).await?;
        } else {
            return Err(conflict("it has ended, and no callback is due"));
        }
        Ok(Done::saying("message sent"))
    }
}

fn after_cancel(outcome: &CancelOutcome) -> Result<Done, Refusal> {
    match outcome {
        CancelOutcome::Cancelled { .. } => Ok(Done::saying("cancelled")),
        CancelOutcome::Ended(ended) => Err(conflict(format!("it is {}", ended.status()))),
        CancelOutcome::PreconditionFailed => Err(changed()),
        CancelOutcome::Absent => Err(Refusal::no_such_operation()),
    }
}

fn after_redeliver(outcome: &RedeliverOutcome) -> Result<Done, Refusal> {
    match outcome {
        RedeliverOutcome::Requested(_) => Ok(Done::saying("another round of the callback begins")),
        RedeliverOutcome::NoCallback => Err(conflict("it has no callback")),
        RedeliverOutcome::RoundNotOver(status) => {
            Err(conflict(format!("its callback is {}", status.as_str())))
        }
        RedeliverOutcome::PreconditionFailed => Err(changed()),
        RedeliverOutcome::Absent => Err(Refusal::no_such_operation()),
    }
}

fn after_erase(outcome: EraseOutcome) -> Result<Done, Refusal> {
    match outcome {
        EraseOutcome::Erased => Ok(Done::saying("erased")),
        EraseOutcome::Live => Err(conflict("it has not ended")),
        EraseOutcome::PreconditionFailed => Err(changed()),
        EraseOutcome::Absent => Err(Refusal::no_such_operation()),
    }
}

fn after_redrive(outcome: &RedriveOutcome) -> Result<Done, Refusal> {
    let done = |sentence: &str, redrive: &Operation| Done {
        done: sentence.to_owned(),
        id: Some(redrive.id.to_string()),
    };
    Err(match outcome {
        RedriveOutcome::New(redrive) => return Ok(done("redriven", redrive)),
        RedriveOutcome::Replayed(redrive) => return Ok(done("it was redriven before", redrive)),
        RedriveOutcome::Conflict(redrive) => {
            let id = &redrive.id;
            conflict(format!("it was redriven before, from elsewhere, as {id}"))
        }
        RedriveOutcome::NotFailed(status) => conflict(format!("it is {status}")),
        RedriveOutcome::TooLate => {
            conflict("it is kept for its callback only, and too old to redrive")
        }
        RedriveOutcome::NoState => conflict("it saved no state"),
        RedriveOutcome::Missing(payload) => {
            conflict(format!("its {payload} cannot be read any more"))
        }
        RedriveOutcome::Refused(error) => {
            let code = error.code().as_str();
            conflict(format!("a submit would get {code} now"))
        }
        RedriveOutcome::PreconditionFailed => changed(),
        RedriveOutcome::Unavailable => {
            let sentence = "its redrive was erased meanwhile; try again";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
        }
        RedriveOutcome::Absent => Refusal::no_such_operation(),
    })
}
