//! `POST /operations/{id}/redeliver`.

use shared::domain::callback::CallbackStatus;
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

        let operation = self.store.get(&id, now).await?;

        let operation = operation
            .filter(|operation| operation.owner == *owner)
            .ok_or_else(Problem::no_such_operation)?;
        let refusal = match operation.callback_status() {
            None => Some("the operation has no callback"),
            Some(CallbackStatus::Waiting) => Some("the operation has not ended"),
            Some(CallbackStatus::Due) => Some("the callback is being delivered"),
            Some(CallbackStatus::Skipped) => {
                Some("the operation's end is not among the callback's events")
            }
            Some(CallbackStatus::Delivered | CallbackStatus::Gone | CallbackStatus::Exhausted) => {
                None
            }
        };
        if let Some(detail) = refusal {
            return Err(Problem::new(Code::Conflict, detail));
        }
        let message = WakeUp {
            operation_id: operation.id.clone(),
            create_id: operation.create_id.clone(),
            redelivery_id: Some(RedeliveryId::from_bytes(self.random.bytes())),
        };
        self.callbacks.send(&message, 0).await?;
        Ok(show(&self.store, &operation, 202, now).await?)
    }
}
