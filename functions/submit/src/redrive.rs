//! `POST /operations/{id}/redrive`.

use shared::domain::limits::BODY_BYTES_MAX;
use shared::http::{Problem, Request, RequestError, Response, read_object};
use shared::operations::{RedriveFrom, RedriveOutcome, RedriveRequest};
use shared::request::{ErrorCode, FieldError, Fields, Members};
use shared::telemetry::record_operation_id;

use crate::Handler;
use crate::rest::{deadline_secs, problem, ttl_secs};

impl Handler {
    /// Runs a failed operation again, as a new operation.
    pub(crate) async fn redrive(&self, request: &Request) -> Result<Response, RequestError> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        record_operation_id(&id);
        let preconditions = request.preconditions();
        let submissions = &self.submissions;
        let outcome = match request.json_body(BODY_BYTES_MAX).and_then(read) {
            Ok(redrive) => {
                let outcome = submissions.redrive(&id, owner, &preconditions, &redrive);
                Box::pin(outcome).await?
            }
            Err(problem) => {
                let refused = submissions.refuse_redrive(&id, owner, &preconditions, problem.code);
                let Some(refused) = refused.await? else {
                    return Err(problem.into());
                };
                refused
            }
        };
        let problem = match outcome {
            RedriveOutcome::New(redrive) => {
                return self.show_accepted(request, *redrive, true, None).await;
            }
            RedriveOutcome::Replayed(redrive) => {
                return self.show_accepted(request, *redrive, false, None).await;
            }
            RedriveOutcome::Conflict(existing) => Problem::new(
                ErrorCode::IdempotencyConflict,
                format!(
                    "the operation was already redriven with another value of from, as {}",
                    existing.id
                ),
            ),
            RedriveOutcome::NotFailed(status) => Problem::new(
                ErrorCode::Conflict,
                format!("the operation is {status}; only a failed operation can be redriven"),
            ),
            RedriveOutcome::TooLate => Problem::new(
                ErrorCode::Conflict,
                "the operation is kept for its callback only, and can no longer be redriven",
            ),
            RedriveOutcome::NoState => no_state(),
            RedriveOutcome::Missing(payload) => Problem::new(
                ErrorCode::Conflict,
                format!("Ferry no longer has the operation's {payload}"),
            ),
            RedriveOutcome::Refused(error) => problem(error),
            RedriveOutcome::PreconditionFailed => Problem::precondition_failed(),
            RedriveOutcome::Absent => Problem::no_such_operation(),
            RedriveOutcome::Unavailable => Problem::unavailable(),
        };
        Err(problem.into())
    }
}

/// A conflict that a member of the request causes.
fn no_state() -> Problem {
    let detail = "the operation saved no state, so it can only be redriven from the start";
    let mut problem = Problem::new(ErrorCode::Conflict, detail);
    problem.errors = vec![FieldError::new("/from", "must be start")];
    problem
}

/// Reads a body, which may be empty.
fn read(body: &[u8]) -> Result<RedriveRequest, Problem> {
    let mut members = if body.is_empty() {
        Members::default()
    } else {
        read_object(body)?
    };
    let mut fields = Fields::default();
    let from = members.take("from").and_then(|raw| {
        let text = fields.text("from", raw).ok()?;
        let from = text.parse::<RedriveFrom>();
        from.map_err(|_| fields.reject("from", "must be state or start"))
            .ok()
    });
    let redrive = RedriveRequest {
        from,
        deadline_secs: deadline_secs(&mut fields, &mut members),
        ttl_secs: ttl_secs(&mut fields, &mut members),
    };
    members.reject_unknown(&mut fields);
    fields.finish(Ok(redrive)).map_err(Problem::fields)
}
