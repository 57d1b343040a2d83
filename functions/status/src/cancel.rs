//! `POST /operations/{id}/cancel`.

use shared::http::{Problem, Request, RequestError, Response};
use shared::operations::{CancelOutcome, RepeatedCancel};
use shared::request::ErrorCode;

use crate::Handler;

impl Handler {
    pub(crate) async fn cancel(&self, request: &Request) -> Result<Response, RequestError> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        let preconditions = request.preconditions();
        let repeated = RepeatedCancel::Succeeds;

        let outcome = self
            .operations
            .cancel(&id, owner, &preconditions, repeated)
            .await?;

        match outcome {
            CancelOutcome::Cancelled { operation, .. } => self.show(&operation, 200).await,
            CancelOutcome::Ended(_) => {
                let detail = "the operation has completed or failed";
                Err(Problem::new(ErrorCode::AsyncCannotCancel, detail).into())
            }
            CancelOutcome::PreconditionFailed => Err(Problem::precondition_failed().into()),
            CancelOutcome::Absent => Err(Problem::no_such_operation().into()),
        }
    }
}
