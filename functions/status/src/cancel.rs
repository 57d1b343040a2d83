//! `POST /operations/{id}/cancel`.

use shared::domain::operation::Operation;
use shared::http::{Answer, Code, Problem, Request, if_match, show};
use shared::queue::WakeUp;
use shared::store::Cancelled;
use shared::telemetry::chain;

use crate::Status;

impl Status {
    /// One write, and a message when somebody is to be told.
    pub(crate) async fn cancel(&self, request: &Request) -> Result<Answer, Problem> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        let precondition = if_match(request.header("if-match"));
        let now = self.clock.now();

        let cancelled = self.store.cancel(&id, owner, &precondition, now).await?;

        match cancelled {
            Cancelled::Cancelled { operation, by_us } => {
                if by_us && operation.callback_is_unannounced() {
                    self.wake_callback(&operation).await;
                }
                Ok(show(&self.store, &operation, 200, now).await?)
            }
            Cancelled::Ended => Err(Problem::new(
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

    /// Outcome first, then the callback's message. A crash in between, a lost answer to the cancel, or a queue that cannot be
    /// reached is healed by the dispatch message: it is still somewhere, and the worker that receives it finds the callback
    /// due and sends this message. So a failure here is logged and does not undo the answer: the operation is cancelled.
    async fn wake_callback(&self, operation: &Operation) {
        if let Err(error) = self.callbacks.send(&WakeUp::of(operation), 0).await {
            tracing::warn!(operation_id = %operation.id, "callback left to the dispatch message: {}", chain(&error));
        }
    }
}
