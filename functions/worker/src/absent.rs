//! Dispatch messages whose operation has no record or is gone, or whose record is another
//! incarnation's.

use shared::domain::limits::{PHANTOM_AGE, RECEIVES_MAX};
use shared::domain::time::Timestamp;
use shared::lambda::Disposition;
use shared::metrics::{self, Metric};

use crate::received::ReceivedDispatch;

impl ReceivedDispatch<'_> {
    /// There is no record. The message waits while a submit may still create one. After that it is
    /// a phantom, left by a submit that crashed or by an operation that `DynamoDB` has deleted.
    pub(crate) async fn wait_for_record(&self, now: Timestamp) -> Disposition {
        if self.is_past_creation(now) {
            metrics::count(Metric::PhantomMessageDropped);
            tracing::info!("phantom message dropped");
            return Disposition::Acknowledge;
        }
        // A further return could make a dead letter of it before it is old enough.
        if self.receive_count() + 1 >= RECEIVES_MAX {
            return self.return_past_creation(now).await;
        }
        self.return_with_backoff().await
    }

    /// The operation expired before a worker sent its wake-up, after an outage longer
    /// than its retention. The callback is lost, and counted once its message is no longer needed.
    pub(crate) async fn expired_with_callback(&self, now: Timestamp) -> Disposition {
        if self.is_past_creation(now) {
            metrics::count(Metric::CallbackDropped);
            tracing::error!("callback dropped: the operation expired before its wake-up was sent");
            return Disposition::Acknowledge;
        }
        self.return_with_backoff().await
    }

    /// The record is another incarnation's: this message is a replay's, whose create was refused,
    /// or an earlier incarnation's, whose record is gone. Only age proves that its submit can no
    /// longer create: the present record may be erased, or end early and expire, and then that
    /// create succeeds and this is its only message.
    pub(crate) async fn wait_for_incarnation(&self, now: Timestamp) -> Disposition {
        if self.is_past_creation(now) {
            return Disposition::Acknowledge;
        }
        // The message is hardly ever needed, and each receive costs a refused claim.
        self.return_past_creation(now).await
    }

    /// Returns the message until no submit can create its incarnation any more.
    async fn return_past_creation(&self, now: Timestamp) -> Disposition {
        let past_creation = self.sent_at() + PHANTOM_AGE;
        self.return_after(past_creation.secs_from(now) + 1).await
    }
}

/// The operation expired, or was erased, as after a cancel whose message was still delayed. The
/// expired record or the tombstone refuses a create of this incarnation, and exists for longer than
/// one may come.
pub(crate) fn acknowledge_gone() -> Disposition {
    tracing::info!("message acknowledged: the operation expired or was erased");
    Disposition::Acknowledge
}
