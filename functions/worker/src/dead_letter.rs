//! What becomes of a message of the dispatch queue's dead-letter queue. It is no grave: a message got here by being received
//! often, which says nothing about its operation.

use shared::domain::operation::Operation;
use shared::lambda::{Disposition, Record};
use shared::metrics::{self, Metric};
use shared::queue::{Dispatch, MessageError};
use shared::telemetry::record_operation_id;

use crate::Worker;

impl Worker {
    pub(crate) async fn serve_dead_letter(&self, record: &Record) -> Disposition {
        let message = match Dispatch::parse(&record.body, record.group.clone()) {
            Ok(message) => message,
            Err(error @ MessageError::NewerFormat(_)) => {
                return self.return_unread(record, &error).await;
            }
            Err(MessageError::Malformed) => {
                // Nobody can read it, now or later: the log is all that it leaves.
                metrics::count(Metric::MalformedMessageDropped);
                tracing::error!("malformed message dropped");
                return Disposition::Acknowledge;
            }
        };
        record_operation_id(&message.operation_id);
        // Given up from here, it is told the same as from the dispatch queue.
        match self
            .works
            .find(&message.function, &message.function_version)
        {
            Ok(_) => self.look(record, &message, Operation::give_up_errors).await,
            Err(unknown) => self.serve_unknown(record, &message, &unknown).await,
        }
    }
}
