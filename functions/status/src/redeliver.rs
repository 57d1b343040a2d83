//! `POST /operations/{id}/redeliver`.

use shared::domain::id::RedeliveryId;
use shared::http::{Answer, Code, Problem, Request, show};
use shared::queue::WakeUp;

use crate::Status;

impl Status {
    /// One read and one message. Writes nothing: the message carries a random id, and the sender's first write for that id
    /// starts the round, so that however often the message is received it starts one.
    pub(crate) async fn redeliver(&self, request: &Request) -> Result<Answer, Problem> {
        let owner = request.owner()?;
        let id = request.operation_id()?;
        let now = self.clock.now();

        let operation = self.store.get_for(&id, owner, now).await?;

        let operation = operation.ok_or_else(Problem::no_such_operation)?;
        match operation.callback_status() {
            None => {
                return Err(Problem::new(
                    Code::Conflict,
                    "the operation has no callback",
                ));
            }
            Some(status) if !status.allows_redelivery() => {
                let detail = format!(
                    "the callback is {}, and no round of it is over",
                    status.as_str()
                );
                return Err(Problem::new(Code::Conflict, detail));
            }
            Some(_) => {}
        }
        let redelivery_id = Some(RedeliveryId::from_bytes(self.random.bytes()));
        let message = WakeUp {
            redelivery_id,
            ..WakeUp::of(&operation)
        };
        self.callbacks.send(&message, 0).await?;
        Ok(show(&self.store, &operation, 202, now).await?)
    }
}
