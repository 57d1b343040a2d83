//! `POST /operations/{id}/redeliver`.

use shared::http::{Answer, Code, Problem, Request, preconditions, show};
use shared::queue::WakeUp;

use crate::Status;

impl Status {
    /// One read and one message. Writes nothing: the message says how many attempts are on record, and the sender starts the round
    /// if that is still so. However often the message is received it starts one, and two requests that find the same number
    /// ask for the same round.
    pub(crate) async fn redeliver(&self, request: &Request) -> Result<Answer, Problem> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        let preconditions =
            preconditions(request.header("if-match"), request.header("if-none-match"));
        let now = self.clock.now();

        let operation = self.store.get_for(&id, owner, now).await?;

        let operation = operation.ok_or_else(Problem::no_such_operation)?;
        if !preconditions.are_met_by(&operation) {
            return Err(Problem::other_version());
        }
        let Some(callback) = &operation.callback else {
            return Err(Problem::new(
                Code::Conflict,
                "the operation has no callback",
            ));
        };
        let status = callback.status(operation.status());
        if !status.allows_redelivery() {
            let detail = format!(
                "the callback is {}, and no round of it is over",
                status.as_str()
            );
            return Err(Problem::new(Code::Conflict, detail));
        }
        let message = WakeUp {
            redeliver_after_attempts: Some(callback.attempts_made),
            ..WakeUp::of(&operation)
        };
        self.callbacks.send(&message, 0).await?;
        show(&self.store, &operation, 202, now).await
    }
}
