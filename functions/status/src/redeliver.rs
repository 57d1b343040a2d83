//! `POST /operations/{id}/redeliver`.

use shared::http::{Problem, Request, RequestError, Response};
use shared::operations::RedeliverOutcome;
use shared::request::ErrorCode;

use crate::Handler;

impl Handler {
    pub(crate) async fn redeliver(&self, request: &Request) -> Result<Response, RequestError> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        let preconditions = request.preconditions();

        let outcome = self
            .operations
            .redeliver(&id, owner, &preconditions)
            .await?;

        let problem = match outcome {
            RedeliverOutcome::Requested(operation) => return self.show(&operation, 202).await,
            RedeliverOutcome::NoCallback => {
                Problem::new(ErrorCode::Conflict, "the operation has no callback")
            }
            RedeliverOutcome::RoundNotOver(status) => {
                let status = status.as_str();
                let detail = format!("the callback is {status}, and no round of it is over");
                Problem::new(ErrorCode::Conflict, detail)
            }
            RedeliverOutcome::PreconditionFailed => Problem::precondition_failed(),
            RedeliverOutcome::Absent => Problem::no_such_operation(),
        };
        Err(problem.into())
    }
}
