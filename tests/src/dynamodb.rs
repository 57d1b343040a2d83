//! The store that `DYNAMODB_ENDPOINT` names, for the suites that can also run on another store than
//! the embedded one.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::Client;
use local::client::sdk_config;
use shared::clock::{Clock as _, SystemClock};
use shared::store::table;

/// A table in that store.
pub struct OtherStore {
    pub endpoint: String,
    /// Unique to this table.
    pub table: String,
}

/// Creates a table in the store that `DYNAMODB_ENDPOINT` names; `None` when it names none.
pub async fn other_store() -> Option<OtherStore> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the environment of a run chooses its store"
    )]
    let endpoint = std::env::var("DYNAMODB_ENDPOINT").ok()?;
    let table = unique_name();
    table::create(&Client::new(&sdk_config(&endpoint)), &table)
        .await
        .unwrap();
    Some(OtherStore { endpoint, table })
}

/// A unique name, since the store may outlive this run.
fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "test-{}-{}-{}",
        SystemClock.now().as_millis(),
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
