//! The end of an operation: its callback's wake-up, then the acknowledgement of the dispatch
//! message.

use shared::domain::limits::CALLBACK_FALLBACK_DELAY_SECS;
use shared::domain::operation::{Operation, OperationError};
use shared::domain::time::Timestamp;
use shared::lambda::Disposition;
use shared::metrics::{self, Metric};
use shared::queue::WakeUp;
use shared::store::GiveUpOutcome;
use shared::telemetry::chain;

use crate::Handler;
use crate::received::{INSPECT_AGAIN_SECS, ReceivedDispatch};

impl Handler {
    /// This worker ended the operation. It sends a wake-up for a due callback, and only then
    /// acknowledges the dispatch message: a crash in between brings the dispatch message back, to
    /// find the callback still due.
    pub(crate) async fn acknowledge_ended(&self, operation: &Operation) -> Disposition {
        self.send_wake_up_and_acknowledge(operation, 0).await
    }

    /// Another process ended the operation. It may have crashed before it sent the callback's
    /// wake-up, or be about to send it, as a cancel is. So this sends one with a delay: normally
    /// the other's arrives first, and this one finds nothing to do.
    pub(crate) async fn acknowledge_ended_by_another(&self, operation: &Operation) -> Disposition {
        self.send_wake_up_and_acknowledge(operation, CALLBACK_FALLBACK_DELAY_SECS)
            .await
    }

    /// Sends nothing for a callback with an attempt on record, whose messages follow one another.
    async fn send_wake_up_and_acknowledge(
        &self,
        operation: &Operation,
        delay_secs: u32,
    ) -> Disposition {
        if !operation.needs_first_wake_up() {
            return Disposition::Acknowledge;
        }
        let wake_up = WakeUp::of(operation);
        match self.callbacks.send(&wake_up, delay_secs).await {
            Ok(()) => Disposition::Acknowledge,
            Err(error) => {
                tracing::error!(
                    "wake-up not sent; the dispatch message comes back and sends it then: {}",
                    chain(&error)
                );
                Disposition::Return
            }
        }
    }

    /// Ends an operation that no worker holds or may claim. `errors` is `None` when the operation
    /// has attempts and time left after all.
    pub(crate) async fn give_up(
        &self,
        received: &ReceivedDispatch<'_>,
        exhausted: &Operation,
        errors: Option<Vec<OperationError>>,
        now: Timestamp,
    ) -> Disposition {
        let Some(errors) = errors else {
            return received.return_after(INSPECT_AGAIN_SECS).await;
        };
        match self.store.give_up(exhausted, &errors, now).await {
            Ok(GiveUpOutcome::Ended {
                operation,
                by_us: true,
            }) => {
                let code = errors.last().map(|error| error.code.as_str());
                tracing::warn!(code, "operation given up");
                metrics::count(Metric::OperationGivenUp(&operation.function));
                self.acknowledge_ended(&operation).await
            }
            // Cancelled since it was read, or given up by the receiver of another message.
            Ok(GiveUpOutcome::Ended {
                operation,
                by_us: false,
            }) => {
                metrics::count(Metric::RaceLost);
                self.acknowledge_ended_by_another(&operation).await
            }
            Ok(GiveUpOutcome::Changed) => {
                metrics::count(Metric::RaceLost);
                received.return_after(INSPECT_AGAIN_SECS).await
            }
            Err(error) => received.return_after_error(&error).await,
        }
    }
}
