//! The table: in an embedded store, or in one that somebody else runs.

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};
use shared::clock::Clock;
use tokio::task::JoinSet;

use crate::bundle::{Settings, StartError, TABLE_NAME, address, listen};
use crate::client::sdk_config;

/// Makes the table ready, and tells the endpoint that it is reached by.
pub(super) async fn start(
    settings: &Settings,
    services: &mut JoinSet<()>,
) -> Result<String, StartError> {
    let endpoint = match &settings.dynamodb {
        Some(endpoint) => endpoint.clone(),
        None => embedded(Arc::clone(&settings.clock), services).await?,
    };
    create_table(&Client::new(&sdk_config(&endpoint)), TABLE_NAME)
        .await
        .map_err(|error| StartError::Store(error.into()))?;
    Ok(endpoint)
}

async fn embedded(clock: Arc<dyn Clock>, services: &mut JoinSet<()>) -> Result<String, StartError> {
    let database = dynoxide::Database::memory_with_clock(Arc::new(StoreClock(clock)))
        .map_err(|error| StartError::Store(error.into()))?;
    let listener = listen(0).await?;
    let endpoint = format!("http://{}", address(&listener)?);
    services.spawn(async move {
        let served =
            dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the store ended");
        }
    });
    Ok(endpoint)
}

/// The bundle's clock, as the store asks for it.
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

/// Creates the table with its index and its expiry. One that is there already is left as it is.
async fn create_table(client: &Client, name: &str) -> Result<(), aws_sdk_dynamodb::Error> {
    let attribute = |name: &str, kind| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(kind)
            .build()
    };
    let key = |name: &str, kind| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
    };
    let by_owner = GlobalSecondaryIndex::builder()
        .index_name("by_owner")
        .key_schema(key("owner", KeyType::Hash)?)
        .key_schema(key("created_at", KeyType::Range)?)
        .projection(
            Projection::builder()
                .projection_type(ProjectionType::KeysOnly)
                .build(),
        )
        .build()?;
    let created = client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("pk", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("sk", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("owner", ScalarAttributeType::S)?)
        .attribute_definitions(attribute("created_at", ScalarAttributeType::N)?)
        .key_schema(key("pk", KeyType::Hash)?)
        .key_schema(key("sk", KeyType::Range)?)
        .global_secondary_indexes(by_owner)
        .send()
        .await;
    match created.map_err(aws_sdk_dynamodb::Error::from) {
        Ok(_) => {}
        Err(aws_sdk_dynamodb::Error::ResourceInUseException(_)) => return Ok(()),
        Err(error) => return Err(error),
    }
    let expiry = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires_at")
        .build()?;
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(expiry)
        .send()
        .await?;
    Ok(())
}
