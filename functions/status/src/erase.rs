//! `DELETE /operations/{id}`.

use shared::http::{Answer, Problem, Request, RequestError};
use shared::operations::EraseOutcome;
use shared::request::Code;

use crate::Handler;

impl Handler {
    pub(crate) async fn erase(&self, request: &Request) -> Result<Answer, RequestError> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        let preconditions = request.preconditions();

        let outcome = self.operations.erase(&id, owner, &preconditions).await?;

        let problem = match outcome {
            EraseOutcome::Erased => return Ok(Answer::empty(204)),
            EraseOutcome::Live => {
                let detail = "the operation has not ended; cancel it first";
                Problem::new(Code::Conflict, detail)
            }
            EraseOutcome::OtherVersion => Problem::other_version(),
            EraseOutcome::Absent => Problem::no_such_operation(),
        };
        Err(problem.into())
    }
}
