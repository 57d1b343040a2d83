//! The table's shape. The local bundle and tests create the table from it, without the template.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, TimeToLiveSpecification,
};

use super::item::name;

/// The index of an owner's operations by creation time.
pub const BY_OWNER: &str = "by_owner";
/// Partition key and sort key of the table.
pub const TABLE_KEYS: [&str; 2] = [name::PK, name::SK];
/// Partition key and sort key of the index.
pub const BY_OWNER_KEYS: [&str; 2] = [name::OWNER, name::CREATED_AT];
/// The attribute by which native TTL deletes, in epoch seconds.
pub const TTL_ATTRIBUTE: &str = name::DELETE_AT;

/// Creates the table with its index and TTL. An existing table stays as it is.
///
/// # Errors
///
/// When DynamoDB refuses the call.
pub async fn create(
    client: &aws_sdk_dynamodb::Client,
    table: &str,
) -> Result<(), aws_sdk_dynamodb::Error> {
    let [index_hash, index_range] = BY_OWNER_KEYS;
    let index = GlobalSecondaryIndex::builder()
        .index_name(BY_OWNER)
        .set_key_schema(Some(key_schema([index_hash, index_range])?))
        .projection(
            Projection::builder()
                .projection_type(ProjectionType::KeysOnly)
                .build(),
        )
        .build()?;
    let created = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(key_schema(TABLE_KEYS)?))
        .attribute_definitions(attribute(name::PK, ScalarAttributeType::S)?)
        .attribute_definitions(attribute(name::SK, ScalarAttributeType::S)?)
        .attribute_definitions(attribute(index_hash, ScalarAttributeType::S)?)
        .attribute_definitions(attribute(index_range, ScalarAttributeType::N)?)
        .global_secondary_indexes(index)
        .send()
        .await;
    match created {
        Err(SdkError::ServiceError(refused)) if refused.err().is_resource_in_use_exception() => {
            return Ok(());
        }
        created => created?,
    };
    let ttl = TimeToLiveSpecification::builder()
        .attribute_name(TTL_ATTRIBUTE)
        .enabled(true)
        .build()?;
    client
        .update_time_to_live()
        .table_name(table)
        .time_to_live_specification(ttl)
        .send()
        .await?;
    Ok(())
}

#[expect(
    clippy::result_large_err,
    reason = "the SDK's own error, once at start"
)]
fn key_schema(keys: [&str; 2]) -> Result<Vec<KeySchemaElement>, aws_sdk_dynamodb::Error> {
    let [hash, range] = keys;
    Ok(vec![
        KeySchemaElement::builder()
            .attribute_name(hash)
            .key_type(KeyType::Hash)
            .build()?,
        KeySchemaElement::builder()
            .attribute_name(range)
            .key_type(KeyType::Range)
            .build()?,
    ])
}

#[expect(
    clippy::result_large_err,
    reason = "the SDK's own error, once at start"
)]
fn attribute(
    name: &str,
    kind: ScalarAttributeType,
) -> Result<AttributeDefinition, aws_sdk_dynamodb::Error> {
    Ok(AttributeDefinition::builder()
        .attribute_name(name)
        .attribute_type(kind)
        .build()?)
}
