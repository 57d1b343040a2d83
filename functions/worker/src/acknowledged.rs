//! Deletes acknowledged messages while others of their batch are still served.
//!
//! The event source deletes them only when the invocation ends, which may be minutes later. Until
//! then each would become visible after its lease and be received again, for a claim that is
//! refused.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shared::domain::limits::HEARTBEATS_PER_LEASE;
use shared::lambda::ReceivedMessage;
use shared::telemetry::chain;
use tokio::sync::Notify;

use crate::Handler;

/// The messages of a batch that are acknowledged and not deleted yet.
#[derive(Default)]
pub(crate) struct Acknowledged<'a> {
    messages: Mutex<Vec<&'a ReceivedMessage>>,
    added: Notify,
}

impl<'a> Acknowledged<'a> {
    pub(crate) fn push(&self, received: &'a ReceivedMessage) {
        self.messages().push(received);
        self.added.notify_one();
    }

    fn messages(&self) -> MutexGuard<'_, Vec<&'a ReceivedMessage>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handler {
    /// Deletes them a heartbeat after the first was acknowledged, long before the end of a lease:
    /// most batches end before that. The invocation drops this when it ends, and then the event
    /// source deletes the rest. A message whose deletion fails is received again, and the
    /// worker finds its operation ended.
    pub(crate) async fn delete_while_others_are_served(
        &self,
        acknowledged: &Acknowledged<'_>,
    ) -> Infallible {
        let interval = self.lease / HEARTBEATS_PER_LEASE;
        loop {
            acknowledged.added.notified().await;
            self.clock.sleep_until(self.clock.now() + interval).await;
            let done = std::mem::take(&mut *acknowledged.messages());
            for queue in [&self.dispatch, &self.dead_letters] {
                let handles: Vec<_> = done
                    .iter()
                    .filter(|received| received.queue_name == queue.name())
                    .map(|received| received.receipt_handle.clone())
                    .collect();
                if handles.is_empty() {
                    continue;
                }
                if let Err(error) = queue.delete(&handles).await {
                    tracing::warn!(
                        "acknowledged messages could not be deleted before their batch ends: {}",
                        chain(&error)
                    );
                }
            }
        }
    }
}
