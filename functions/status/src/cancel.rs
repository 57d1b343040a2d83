//! `POST /operations/{id}/cancel`.

use shared::http::{Answer, Code, Problem, Request, preconditions, show};
use shared::store::CancelOutcome;

use crate::Status;

impl Status {
    /// One write, and a message when somebody is to be told.
    pub(crate) async fn cancel(&self, request: &Request) -> Result<Answer, Problem> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        let preconditions =
            preconditions(request.header("if-match"), request.header("if-none-match"));
        let now = self.clock.now();

        let cancelled = self
            .operations
            .cancel(&id, owner, &preconditions, now)
            .await?;

        match cancelled {
            CancelOutcome::Cancelled { operation, .. } => {
                show(&self.store, &operation, 200, now).await
            }
            CancelOutcome::Ended(_) => Err(Problem::new(
                Code::AsyncCannotCancel,
                "the operation has completed or failed",
            )),
            CancelOutcome::OtherVersion => Err(Problem::other_version()),
            CancelOutcome::Absent => Err(Problem::no_such_operation()),
        }
    }
}
