//! `POST /operations/{id}/cancel`.

use shared::http::{Answer, Problem, Request, RequestError};
use shared::operations::{CancelOutcome, RepeatedCancel};
use shared::request::Code;

use crate::Handler;

impl Handler {
    pub(crate) async fn cancel(&self, request: &Request) -> Result<Answer, RequestError> {
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
                Err(Problem::new(Code::AsyncCannotCancel, detail).into())
            }
            CancelOutcome::OtherVersion => Err(Problem::other_version().into()),
            CancelOutcome::Absent => Err(Problem::no_such_operation().into()),
        }
    }
}
