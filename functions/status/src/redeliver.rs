//! `POST /operations/{id}/redeliver`.

use shared::http::{Answer, Problem, Request, RequestError};
use shared::operations::RedeliverOutcome;
use shared::request::Code;

use crate::Handler;

impl Handler {
    pub(crate) async fn redeliver(&self, request: &Request) -> Result<Answer, RequestError> {
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
                Problem::new(Code::Conflict, "the operation has no callback")
            }
            RedeliverOutcome::RoundNotOver(status) => {
                let status = status.as_str();
                let detail = format!("the callback is {status}, and no round of it is over");
                Problem::new(Code::Conflict, detail)
            }
            RedeliverOutcome::OtherVersion => Problem::other_version(),
            RedeliverOutcome::Absent => Problem::no_such_operation(),
        };
        Err(problem.into())
    }
}
