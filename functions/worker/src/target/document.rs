//! What a target gets of an attempt.

use serde::Serialize;
use shared::catalogue::Target;
use shared::domain::json::{Json, encode};
use shared::domain::limits::target_deadline_margin;
use shared::domain::operation::Operation;
use shared::domain::time::Timestamp;

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    timestamp: String,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    operation_id: &'a str,
    function: &'a str,
    version: &'a str,
    attempt: u32,
    attempts_max: u32,
    deadline: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    arguments: &'a Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a Json>,
}

/// The attempt of an operation, as its target sees it.
pub(crate) struct Attempt<'a> {
    pub(crate) operation_id: &'a str,
    pub(crate) owner: &'a str,
    pub(crate) function: &'a str,
    pub(crate) version: &'a str,
    pub(crate) number: u32,
    pub(crate) attempts_max: u32,
}

/// What the target works on.
pub(crate) struct Input<'a> {
    pub(crate) arguments: &'a Json,
    /// If the target gets it.
    pub(crate) metadata: Option<&'a Json>,
    /// What the last leg saved.
    pub(crate) state: Option<&'a Json>,
}

impl<'a> From<&'a Operation> for Attempt<'a> {
    fn from(operation: &'a Operation) -> Self {
        Self {
            operation_id: operation.id.as_str(),
            owner: operation.owner.as_str(),
            function: &operation.function,
            version: &operation.function_version,
            number: operation.attempt,
            attempts_max: operation.attempts_max,
        }
    }
}

/// The event of one invocation. `deadline` is the attempt's.
pub(crate) fn document(
    target: &Target,
    attempt: &Attempt<'_>,
    input: &Input<'_>,
    deadline: Timestamp,
    now: Timestamp,
) -> String {
    let margin = target_deadline_margin(deadline.since(now));
    encode(&Document {
        r#type: "ferry.attempt",
        timestamp: now.to_string(),
        data: Data {
            operation_id: attempt.operation_id,
            function: attempt.function,
            version: attempt.version,
            attempt: attempt.number,
            attempts_max: attempt.attempts_max,
            deadline: (deadline - margin).to_string(),
            owner: target.send_owner.then_some(attempt.owner),
            arguments: input.arguments,
            metadata: input.metadata,
            state: input.state,
        },
    })
}
