//! The tools for operations, for clients that do not know tasks.

use std::time::Duration;

use serde_json::json;
use shared::domain::id::OperationId;
use shared::domain::json::Json;
use shared::request::{FieldError, Fields, Invalid, Members};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OperationTool {
    Get,
    Cancel,
}

/// A call of one of these tools.
#[derive(Debug)]
pub(super) struct OperationCall {
    /// `None` for an id that no operation can have.
    pub(super) id: Option<OperationId>,
    /// The longest wait for the operation's end.
    pub(super) wait: Duration,
}

impl OperationTool {
    pub(super) const ALL: [Self; 2] = [Self::Get, Self::Cancel];

    #[must_use]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Get => "ferry_get_operation",
            Self::Cancel => "ferry_cancel_operation",
        }
    }

    #[must_use]
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Get => "Get an operation",
            Self::Cancel => "Cancel an operation",
        }
    }

    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Get => {
                "Returns an operation that a tool call started: its status and progress, and its \
                 result or errors once it has ended. With wait_seconds it waits that long for the \
                 operation's end."
            }
            Self::Cancel => {
                "Cancels an operation that has not ended. What its work has already done stays."
            }
        }
    }

    pub(super) fn arguments_schema(self, wait_max: Duration) -> Json {
        let id = json!({
            "type": "string",
            "description": "The id of the operation, such as op_e76d0c6f5d07024d7b7ba2a1.",
        });
        let mut properties = json!({"operation_id": id});
        if self == Self::Get {
            properties["wait_seconds"] = json!({
                "type": "integer", "minimum": 0, "maximum": wait_max.as_secs(), "default": 0,
                "description": "How long to wait for the operation's end, in seconds.",
            });
        }
        let schema = json!({
            "type": "object",
            "properties": properties,
            "required": ["operation_id"],
            "additionalProperties": false,
        });
        Json::of(&schema).expect("a schema is JSON")
    }

    /// Reads a call's arguments.
    ///
    /// # Errors
    ///
    /// Every error of them.
    pub(super) fn read(
        self,
        arguments: &Json,
        wait_max: Duration,
    ) -> Result<OperationCall, Vec<FieldError>> {
        let mut fields = Fields::default();
        let mut members = Members::of(arguments.raw()).unwrap_or_default();
        let id = fields
            .required(&mut members, "operation_id")
            .and_then(|raw| fields.text("operation_id", raw));
        let wait = match self {
            Self::Get => members.take("wait_seconds"),
            Self::Cancel => None,
        };
        let secs_max = u32::try_from(wait_max.as_secs()).unwrap_or(u32::MAX);
        let wait = wait.map_or(Ok(0), |raw| {
            fields.number("wait_seconds", raw, 0..=secs_max)
        });
        members.reject_unknown(&mut fields);
        let call = || {
            Ok::<_, Invalid>(OperationCall {
                id: id?.parse().ok(),
                wait: Duration::from_secs(wait?.into()),
            })
        };
        fields.finish(call())
    }
}
