//! The results of `fn:capabilities` and `fn:describe`.

use schemars::{JsonSchema, Schema};
use semver::Version;
use serde::Serialize;

use super::arguments::DescribeArguments;
use super::function::SystemFunction;
use super::urn::ExtensionName;
use super::version::PROTOCOL_VERSION;
use shared::catalogue::{Catalogue, Entry, SideEffect, Unknown};
use shared::domain::json::Json;
use shared::domain::limits::{
    ARGUMENTS_BYTES_MAX, BODY_BYTES_MAX, DEADLINE_SECS_MAX, LIST_LIMIT_MAX, NESTING_MAX,
    RESULT_BYTES_MAX,
};
use shared::view::Quantity;

/// The result of `fn:capabilities`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CapabilitiesView {
    service: &'static str,
    protocol_versions: Vec<&'static str>,
    extensions: Vec<ExtensionView>,
    /// Names without versions.
    functions: Vec<&'static str>,
    limits: Limits,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ExtensionView {
    urn: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "the protocol's names")]
struct Limits {
    max_request_bytes: usize,
    max_arguments_bytes: usize,
    max_result_bytes: usize,
    max_nesting: usize,
    max_list_limit: usize,
    max_deadline: Quantity,
}

impl CapabilitiesView {
    /// Lists the functions of the catalogue and the protocol's own.
    #[must_use]
    pub fn new(catalogue: Catalogue) -> Self {
        let mut functions: Vec<_> = catalogue.entries().map(|entry| entry.name).collect();
        functions.extend(SystemFunction::ALL.map(SystemFunction::name));
        functions.sort_unstable();
        functions.dedup();
        Self {
            service: "ferry",
            protocol_versions: vec![PROTOCOL_VERSION],
            extensions: ExtensionName::canonical_urns()
                .into_iter()
                .map(|urn| ExtensionView { urn })
                .collect(),
            functions,
            limits: Limits {
                max_request_bytes: BODY_BYTES_MAX,
                max_arguments_bytes: ARGUMENTS_BYTES_MAX,
                max_result_bytes: RESULT_BYTES_MAX,
                max_nesting: NESTING_MAX,
                max_list_limit: LIST_LIMIT_MAX,
                max_deadline: Quantity::seconds(u64::from(DEADLINE_SECS_MAX)),
            },
        }
    }
}

/// The result of `fn:describe`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DescribeView {
    function: String,
    description: &'static str,
    /// What it changes; empty for one that only computes or reads.
    side_effects: &'static [SideEffect],
    versions: Vec<VersionView>,
    /// The latest stable one; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    recommended_version: Option<&'static str>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct VersionView {
    version: &'static str,
    stability: Stability,
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<SchemaView>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SchemaView {
    #[schemars(with = "Schema")]
    pub(super) arguments: Json,
    #[schemars(with = "Schema")]
    pub(super) returns: Json,
}

/// How stable a version is, by its pre-release identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Stability {
    Stable,
    Rc,
    Beta,
    Alpha,
}

impl Stability {
    /// An unknown identifier counts as the least stable of those that are known.
    fn of(version: &str) -> Self {
        let Ok(version) = Version::parse(version) else {
            return Self::Alpha;
        };
        match version.pre.split('.').next() {
            None | Some("") => Self::Stable,
            Some("rc") => Self::Rc,
            Some("beta") => Self::Beta,
            Some(_) => Self::Alpha,
        }
    }
}

impl DescribeView {
    pub(super) fn of_catalogue(
        catalogue: Catalogue,
        arguments: &DescribeArguments,
    ) -> Result<Self, Unknown> {
        let DescribeArguments {
            function,
            version,
            include_schema,
        } = arguments;
        let stable = catalogue.find(function, None);
        let asked_for = version
            .as_ref()
            .map(|version| catalogue.find(function, Some(version)))
            .transpose()?;
        let entries: Vec<&Entry> = match asked_for {
            Some(entry) => vec![entry],
            None => catalogue
                .entries()
                .filter(|entry| entry.name == *function)
                .collect(),
        };
        let Some(shown) = stable.as_ref().ok().or(entries.last()).copied() else {
            return Err(Unknown::Function);
        };
        Ok(Self {
            function: function.clone(),
            description: shown.description,
            side_effects: shown.side_effects,
            versions: entries
                .into_iter()
                .map(|entry| VersionView {
                    version: entry.version,
                    stability: Stability::of(entry.version),
                    description: entry.description,
                    schema: include_schema.then(|| SchemaView {
                        arguments: entry.arguments_schema(),
                        returns: entry.result_schema(),
                    }),
                })
                .collect(),
            recommended_version: stable.ok().map(|entry| entry.version),
        })
    }

    pub(super) fn of_system(
        function: SystemFunction,
        arguments: &DescribeArguments,
        schema: impl FnOnce() -> SchemaView,
    ) -> Result<Self, Unknown> {
        let version = SystemFunction::VERSION;
        let asked_for = arguments.version.as_ref().map(Version::to_string);
        if asked_for.is_some_and(|asked_for| asked_for != version) {
            return Err(Unknown::Version {
                available: vec![version],
            });
        }
        Ok(Self {
            function: arguments.function.clone(),
            description: function.description(),
            side_effects: function.side_effects(),
            versions: vec![VersionView {
                version,
                stability: Stability::of(version),
                description: function.description(),
                schema: arguments.include_schema.then(schema),
            }],
            recommended_version: Some(version),
        })
    }
}
