//! What a caller is told of the operation that its submission has become.
//!
//! Once it is accepted nothing may turn the answer into an error: whoever gets one submits again, and without an idempotency key
//! that is a second operation.

use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;
use shared::http::Problem;
use shared::store::Payloads;
use shared::telemetry::chain;

use crate::Submit;

impl Submit {
    /// An operation as it stands at its end, or when the wait for that is over; as it was accepted if what it has come to cannot be
    /// read, which a poll may do.
    ///
    /// # Errors
    ///
    /// For one that was accepted before, under a key, so that it may be submitted again: when its payloads cannot be read, or have
    /// gone with it meanwhile.
    pub(crate) async fn told(
        &self,
        accepted: Operation,
        is_new: bool,
        wait_until: Option<Timestamp>,
    ) -> Result<(Operation, Payloads), Problem> {
        let operation = match wait_until {
            Some(until) => self.operations.wait(accepted.clone(), until).await,
            None => accepted.clone(),
        };
        match self.store.payloads(&operation, self.clock.now()).await {
            Ok(Some(payloads)) => return Ok((operation, payloads)),
            // Erased by its owner.
            Ok(None) if is_new => {}
            Ok(None) => return Err(Problem::unavailable()),
            Err(error) if is_new => {
                tracing::warn!("end not told: {}", chain(&error));
            }
            Err(error) => return Err(error.into()),
        }
        // All that was just submitted is at hand, and nothing is read.
        let payloads = self.store.payloads(&accepted, self.clock.now()).await?;
        Ok((accepted, payloads.ok_or_else(Problem::unavailable)?))
    }
}
