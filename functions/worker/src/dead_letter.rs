//! Messages of the dispatch queue's dead-letter queue. A message moved there because it was
//! received often, which says nothing about its operation.

use shared::domain::operation::Operation;
use shared::lambda::{Disposition, ReceivedMessage};
use shared::metrics::{self, Metric};
use shared::queue::MessageError;

use crate::Handler;

impl Handler {
    pub(crate) async fn serve_dead_letter(&self, received: &ReceivedMessage) -> Disposition {
        let received = match self.read(received) {
            Ok(received) => received,
            Err(error @ MessageError::NewerFormat(_)) => {
                return self.return_unread(received, &error).await;
            }
            Err(MessageError::Malformed) => {
                // No release can read it, so the log line is all that remains of it.
                metrics::count(Metric::MalformedMessageDropped);
                tracing::error!("malformed message dropped");
                return Disposition::Acknowledge;
            }
        };
        // An operation that is given up here gets the same errors as from the dispatch queue.
        match self.runners.find_for(&received.message) {
            Ok(_) => {
                self.serve_without_claim(&received, Operation::give_up_errors)
                    .await
            }
            Err(missing) => self.wait_for_deployment(&received, missing).await,
        }
    }
}
