//! How a test waits for an event.

use std::time::Duration;

/// How long a test waits for an expected event before it fails.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How often [`until`] checks its condition.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Polls a condition that must become true, and returns its value.
pub async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let polling = async {
        let mut interval = tokio::time::interval(POLL_INTERVAL);
        loop {
            interval.tick().await;
            if let Some(value) = condition().await {
                return value;
            }
        }
    };
    soon(what, polling).await
}

/// Waits for an event that must happen.
pub async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    let Ok(result) = tokio::time::timeout(TIMEOUT, event).await else {
        panic!("{what} did not happen within {} s", TIMEOUT.as_secs());
    };
    result
}
