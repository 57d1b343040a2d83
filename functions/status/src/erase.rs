//! `DELETE /operations/{id}`.

use shared::http::{Problem, Request, RequestError, Response};
use shared::operations::EraseOutcome;
use shared::request::ErrorCode;

use crate::Handler;

impl Handler {
    pub(crate) async fn erase(&self, request: &Request) -> Result<Response, RequestError> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        let preconditions = request.preconditions();

        let outcome = self.operations.erase(&id, owner, &preconditions).await?;

        let problem = match outcome {
            EraseOutcome::Erased => return Ok(Response::empty(204)),
            EraseOutcome::Live => {
                let detail = "the operation has not ended; cancel it first";
                Problem::new(ErrorCode::Conflict, detail)
            }
            EraseOutcome::PreconditionFailed => Problem::precondition_failed(),
            EraseOutcome::Absent => Problem::no_such_operation(),
        };
        Err(problem.into())
    }
}
