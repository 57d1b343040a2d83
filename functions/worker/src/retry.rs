//! Repeats calls to a store that is unavailable for a short time.

use std::time::Duration;

use shared::clock::BoxFuture;
use shared::domain::time::Timestamp;
use shared::store::StoreError;
use shared::telemetry::chain;

use crate::Handler;

/// How long to wait before a call that the store did not answer is made again.
const UNAVAILABLE_RETRY_INTERVAL: Duration = Duration::from_secs(1);

impl Handler {
    /// Makes a call again while the store is unavailable, until `give_up_at`.
    pub(crate) async fn retry_while_unavailable<'a, T>(
        &self,
        give_up_at: Timestamp,
        call: impl Fn() -> BoxFuture<'a, Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        loop {
            let outcome = call().await;
            let next = self.clock.now() + UNAVAILABLE_RETRY_INTERVAL;
            match outcome {
                Err(error @ (StoreError::Unreachable { .. } | StoreError::Throttled))
                    if next < give_up_at =>
                {
                    let secs = UNAVAILABLE_RETRY_INTERVAL.as_secs();
                    tracing::warn!("store unavailable, retrying in {secs} s: {}", chain(&error));
                    self.clock.sleep_until(next).await;
                }
                outcome => return outcome,
            }
        }
    }
}
