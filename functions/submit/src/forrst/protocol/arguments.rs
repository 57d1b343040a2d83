//! The arguments of the protocol's own functions. Unknown members are refused.

use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Deserializer, Serialize};

use shared::domain::limits::LIST_LIMIT_MAX;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoArguments {}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationArguments {
    /// The operation.
    pub(super) operation_id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListArguments {
    /// Only those in this status, or in one of these, separated by commas.
    pub(super) status: Option<String>,
    /// Only those whose callback has this status.
    pub(super) callback_status: Option<String>,
    /// Only those of this function.
    pub(super) function: Option<String>,
    /// Only those created later than this, RFC 3339.
    pub(super) created_after: Option<String>,
    /// Only those created earlier than this, RFC 3339.
    pub(super) created_before: Option<String>,
    /// The size of the page, 1 to 100.
    #[schemars(range(min = 1, max = LIST_LIMIT_MAX))]
    pub(super) limit: Option<u64>,
    /// The page to show: the `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

/// The arguments of `fn:describe` as they are sent.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DescribeArguments")]
#[serde(deny_unknown_fields)]
pub(super) struct DescribeMembers {
    /// The function's name.
    pub(super) function: String,
    /// Its version; every one when left out.
    pub(super) version: Option<String>,
    /// Whether to show schemas.
    #[serde(default = "yes", deserialize_with = "yes_unless_false")]
    #[schemars(with = "Option<bool>")]
    pub(super) include_schema: bool,
}

/// The arguments of `fn:describe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeArguments {
    pub function: String,
    /// `None` for every version.
    pub version: Option<Version>,
    pub include_schema: bool,
}

/// Which parts to check.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthArguments {
    /// The part; every one when left out.
    pub component: Option<HealthComponent>,
    /// Whether to show each part.
    #[serde(default = "yes", deserialize_with = "yes_unless_false")]
    #[schemars(with = "Option<bool>")]
    pub include_details: bool,
}

const fn yes() -> bool {
    true
}

/// Null counts as left out.
fn yes_unless_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::deserialize(deserializer).map(|given| given.unwrap_or(true))
}

/// A part of the service.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum HealthComponent {
    /// The function that answers.
    #[serde(rename = "self")]
    Itself,
    /// The table.
    Database,
    /// The queues.
    Queue,
}
