//! `POST /operations/{id}/cancel`.

use shared::http::{Answer, Code, Problem, Request, if_match, show};
use shared::store::Cancelled;

use crate::Status;

impl Status {
    /// One write, and a message when somebody is to be told.
    pub(crate) async fn cancel(&self, request: &Request) -> Result<Answer, Problem> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        let precondition = if_match(request.header("if-match"));
        let now = self.clock.now();

        let cancelled = self
            .operations
            .cancel(&id, owner, &precondition, now)
            .await?;

        match cancelled {
            Cancelled::Cancelled { operation, .. } => show(&self.store, &operation, 200, now).await,
            Cancelled::Ended(_) => Err(Problem::new(
                Code::AsyncCannotCancel,
                "the operation has completed or failed",
            )),
            Cancelled::OtherVersion => Err(Problem::new(
                Code::AsyncVersionConflict,
                "the operation is not at the version in If-Match",
            )),
            Cancelled::Absent => Err(Problem::no_such_operation()),
        }
    }
}
