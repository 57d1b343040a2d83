//! Waiting for what must happen.

use std::time::Duration;

/// How long a test waits for an expected event before it fails.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Waits for an event that must happen.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    let Ok(result) = tokio::time::timeout(TIMEOUT, event).await else {
        panic!("{what} did not happen within {} s", TIMEOUT.as_secs());
    };
    result
}
