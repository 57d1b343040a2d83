//! The store that `DYNAMODB_ENDPOINT` names, for the suites that can be held against another than the embedded one.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::Client;
use local::client::sdk_config;
use shared::clock::{Clock as _, SystemClock};
use shared::store::table;

/// A table in it.
pub struct OtherStore {
    /// Where the store is.
    pub endpoint: String,
    /// The table's name, which no other table has.
    pub table: String,
}

/// A new table in the store that is named; `None` when none is.
pub async fn other_store() -> Option<OtherStore> {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever runs the suites chooses their store"
    )]
    let endpoint = std::env::var("DYNAMODB_ENDPOINT").ok()?;
    let table = unique_name();
    table::create(&Client::new(&sdk_config(&endpoint)), &table)
        .await
        .unwrap();
    Some(OtherStore { endpoint, table })
}

/// The store may outlive this run.
fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "test-{}-{}-{}",
        SystemClock.now().as_millis(),
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
