//! The table: in the embedded store, or behind another endpoint.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use shared::clock::Clock;
use shared::store::table;
use tokio::task::JoinSet;

use crate::bundle::{Settings, StartError, TABLE_NAME, address, listen};
use crate::client::sdk_config;
use crate::dynamodb;

/// Creates the table unless it exists, and returns the store's endpoint.
pub(super) async fn start(
    settings: &Settings,
    services: &mut JoinSet<()>,
) -> Result<String, StartError> {
    let endpoint = match &settings.dynamodb {
        Some(endpoint) => endpoint.clone(),
        None => embedded(settings, services).await?,
    };
    table::create(&Client::new(&sdk_config(&endpoint)), TABLE_NAME)
        .await
        .map_err(|error| StartError::Store(error.into()))?;
    Ok(endpoint)
}

async fn embedded(settings: &Settings, services: &mut JoinSet<()>) -> Result<String, StartError> {
    let clock = StoreClock(Arc::clone(&settings.clock));
    let database = dynoxide::Database::memory_with_clock(Arc::new(clock))
        .map_err(|error| StartError::Store(error.into()))?;
    let listener = listen(0).await?;
    let endpoint = format!("http://{}", address(&listener)?);
    let allowed = settings.allowed.without_origins();
    services.spawn(async move {
        if let Err(error) = dynamodb::serve(database, listener, allowed).await {
            tracing::error!(%error, "the store ended; the bundle must be started again");
        }
    });
    Ok(endpoint)
}

/// The bundle's clock behind `dynoxide`'s trait.
struct StoreClock(Arc<dyn Clock>);

impl dynoxide::storage_backend::Clock for StoreClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now().as_secs()).unwrap_or_default()
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 stay exact in an f64 for 285,000 years"
    )]
    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().as_millis() as f64 / 1000.0
    }
}
