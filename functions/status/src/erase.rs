//! `DELETE /operations/{id}`.

use std::time::Duration;

use shared::domain::limits::ERASE_SECS_MAX;
use shared::http::{Answer, Code, Problem, Request, preconditions};
use shared::store::EraseOutcome;

use crate::Status;

impl Status {
    /// A read, two writes, a query, and a delete for each payload item.
    pub(crate) async fn erase(&self, request: &Request) -> Result<Answer, Problem> {
        let owner = request.owner()?;
        let id = request.operation_id()?;

        let preconditions =
            preconditions(request.header("if-match"), request.header("if-none-match"));
        let now = self.clock.now();
        let give_up_at = now + Duration::from_secs(ERASE_SECS_MAX.into());

        let erased = tokio::select! {
            biased;
            erased = self.store.erase(&id, owner, &preconditions, now) => erased?,
            // The mark is there by now, and a repeated erase goes on from it.
            () = self.clock.sleep_until(give_up_at) => {
                tracing::warn!("erase not finished within {ERASE_SECS_MAX} s");
                return Err(Problem::unavailable());
            }
        };

        match erased {
            EraseOutcome::Erased => Ok(Answer::empty(204)),
            EraseOutcome::Live => Err(Problem::new(
                Code::Conflict,
                "the operation has not ended; cancel it first",
            )),
            EraseOutcome::OtherVersion => Err(Problem::other_version()),
            EraseOutcome::Absent => Err(Problem::no_such_operation()),
        }
    }
}
