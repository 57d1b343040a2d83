//! How a test waits for what has to come.

use std::time::Duration;

/// How long a test waits. It is only ever waited out by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a test looks whether it has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Waits for something that has to happen, by looking for it.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        let mut pace = tokio::time::interval(LOOK_INTERVAL);
        loop {
            pace.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    soon(what, looking).await
}

/// Waits for something that has to happen.
pub async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    let Ok(happened) = tokio::time::timeout(PATIENCE, happening).await else {
        panic!("{what} did not happen within {} s", PATIENCE.as_secs());
    };
    happened
}
