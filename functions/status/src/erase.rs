//! `DELETE /operations/{id}`.

use shared::http::{Answer, Code, Problem, Request};
use shared::store::Erased;

use crate::Status;

impl Status {
    /// A read, two writes, and a delete for each payload item that there may be.
    pub(crate) async fn erase(&self, request: &Request) -> Result<Answer, Problem> {
        let owner = request.owner()?;
        let id = request.operation_id()?;

        let erased = self.store.erase(&id, owner, self.clock.now()).await?;

        match erased {
            Erased::Erased => Ok(Answer::empty(204)),
            Erased::Live => Err(Problem::new(
                Code::Conflict,
                "the operation has not ended; cancel it first",
            )),
            Erased::Absent => Err(Problem::no_such_operation()),
        }
    }
}
