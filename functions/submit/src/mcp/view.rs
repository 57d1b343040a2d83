//! Responses: the envelope of JSON-RPC, and the members that every result has.

use serde::Serialize;
use serde_json::value::RawValue;
use shared::domain::id::OperationId;
use shared::domain::json::encode;
use shared::http::Response;

use super::error::RpcError;
use super::server::{Discovery, Implementation, Initialized, SERVER};
use super::task::TaskView;
use super::tool_list::ToolList;
use super::tool_result::ToolResult;
use super::version::Era;

/// The result of a method.
#[derive(Debug)]
pub(super) struct MethodResult {
    kind: ResultType,
    members: ResultMembers,
    /// The operation that the result is about.
    operation_id: Option<OperationId>,
}

/// What a result is, in the modern era.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum ResultType {
    Complete,
    Task,
}

/// The members that depend on the method.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum ResultMembers {
    None {},
    Discovery(Discovery),
    Initialized(Initialized),
    ToolList(ToolList),
    ToolResult(ToolResult),
    Task(Box<TaskView>),
}

impl MethodResult {
    /// The final result of a method.
    #[must_use]
    pub(super) const fn complete(members: ResultMembers) -> Self {
        Self {
            kind: ResultType::Complete,
            members,
            operation_id: None,
        }
    }

    /// A task in the place of a tool's result.
    #[must_use]
    pub(super) const fn task(members: ResultMembers) -> Self {
        Self {
            kind: ResultType::Task,
            members,
            operation_id: None,
        }
    }

    /// Names the operation for programs.
    #[must_use]
    pub(super) fn of_operation(self, id: &OperationId) -> Self {
        Self {
            operation_id: Some(id.clone()),
            ..self
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<ResultView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RpcError>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<ResultType>,
    #[serde(flatten)]
    members: &'a ResultMembers,
    #[serde(rename = "_meta", skip_serializing_if = "Meta::is_empty")]
    meta: Meta<'a>,
}

#[derive(Serialize)]
struct Meta<'a> {
    #[serde(
        rename = "io.modelcontextprotocol/serverInfo",
        skip_serializing_if = "Option::is_none"
    )]
    server: Option<Implementation>,
    #[serde(rename = "ferry/operationId", skip_serializing_if = "Option::is_none")]
    operation_id: Option<&'a str>,
}

impl Meta<'_> {
    const fn is_empty(&self) -> bool {
        self.server.is_none() && self.operation_id.is_none()
    }
}

impl<'a> ResultView<'a> {
    /// The legacy era has no types of results, and names the server in `initialize` alone.
    fn new(era: Era, result: &'a MethodResult) -> Self {
        let is_modern = era == Era::Modern;
        Self {
            result_type: is_modern.then_some(result.kind),
            members: &result.members,
            meta: Meta {
                server: is_modern.then_some(SERVER),
                operation_id: result.operation_id.as_ref().map(OperationId::as_str),
            },
        }
    }
}

/// The response with a request's result.
#[must_use]
pub(super) fn success(era: Era, id: &RawValue, result: &MethodResult) -> Response {
    let body = Body {
        jsonrpc: "2.0",
        id: Some(id),
        result: Some(ResultView::new(era, result)),
        error: None,
    };
    Response::json(200, encode(&body))
}

/// The response with an error. The id is absent when it could not be read.
#[must_use]
pub(super) fn failure(id: Option<&RawValue>, error: &RpcError) -> Response {
    let body = Body {
        jsonrpc: "2.0",
        id,
        result: None,
        error: Some(error),
    };
    Response::json(error.status(), encode(&body))
}
