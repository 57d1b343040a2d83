//! `POST /mcp`: the functions of the catalogue as tools of the Model Context Protocol, for agents.
//!
//! It speaks both eras of the protocol on one route, without sessions and without streams: every
//! response is one JSON object. A call submits an operation and waits a moment for its end. Work
//! that takes longer becomes a task where the client declares that extension; for other clients
//! there are two tools that follow an operation.
//!
//! The specification: <https://modelcontextprotocol.io/specification/2026-07-28>, and for tasks
//! <https://github.com/modelcontextprotocol/ext-tasks>.
//!
//! The modules, each of which uses only those before it (a few types of responses aside):
//!
//! - `version`, `error`: the revisions and their errors;
//! - `message`: what a client sends;
//! - `server`, `operation_tool`, `tool_list`, `tool_result`, `task`, `view`: what it gets.

mod error;
mod message;
mod operation_tool;
mod origin;
mod server;
mod task;
mod tool_list;
mod tool_result;
mod version;
mod view;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::value::RawValue;
use shared::catalogue::Entry;
use shared::domain::id::OperationId;
use shared::domain::json::Json;
use shared::domain::limits::{ARGUMENTS_BYTES_MAX, BODY_BYTES_MAX, ERRORS_LISTED_MAX};
use shared::domain::operation::{Operation, Origin, Owner, Trace};
use shared::domain::precondition::Preconditions;
use shared::domain::time::Timestamp;
use shared::http::{Problem, Request, RequestError, Response};
use shared::operations::{
    self, AcceptOutcome, CancelOutcome, IdempotencyKey, RepeatedCancel, SubmissionError,
    SubmissionParts,
};
use shared::request::{ErrorCode, FieldError, Fields, IDEMPOTENCY_KEY_RULE, is_idempotency_key};
use shared::store::StoreError;
use shared::telemetry::record_operation_id;
use shared::view::{OperationView, retry_after_secs};

use self::error::RpcError;
use self::message::{Call, IDEMPOTENCY_KEY, Message, text};
use self::operation_tool::{OperationCall, OperationTool};
pub(crate) use self::origin::AllowedOrigins;
use self::server::{Discovery, Initialized};
use self::task::{TaskView, kept_until};
pub(crate) use self::tool_list::Tools;
use self::tool_result::{ToolResult, ended};
use self::version::Era;
use self::view::{MethodResult, ResultMembers, failure, success};
use crate::Handler;
use crate::rest::unusable_schema;

/// What a method needs besides its parameters.
struct Context<'a> {
    era: Era,
    owner: &'a Owner,
    /// When the request arrived: its wait counts from here.
    arrived_at: Timestamp,
}

/// Why a method has no result.
enum CallError {
    /// The request is refused.
    Refused(RpcError),
    /// The store or a queue failed.
    Failed(operations::Error),
}

impl CallError {
    /// This is the edge: it logs a failure, with its causes.
    fn into_rpc_error(self) -> RpcError {
        match self {
            Self::Refused(error) => error,
            Self::Failed(error) => RequestError::from(error).into_problem().into(),
        }
    }
}

impl From<RpcError> for CallError {
    fn from(error: RpcError) -> Self {
        Self::Refused(error)
    }
}

impl From<Problem> for CallError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem.into())
    }
}

impl From<operations::Error> for CallError {
    fn from(error: operations::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Handler {
    /// Serves a message. A tool call costs what a submit by REST does, and its wait adds reads; a
    /// poll of a task costs what a read does.
    pub(crate) async fn mcp(&self, request: &Request) -> Result<Response, RequestError> {
        let arrived_at = self.clock.now();
        if !self.allowed_origins.allow(request) {
            let detail = "pages of this origin may not call";
            return Err(Problem::new(ErrorCode::Forbidden, detail).into());
        }
        let owner = request.owner()?;
        let body = request.json_body(BODY_BYTES_MAX)?;
        let call = match Message::read(body) {
            Ok(Message::Request(call)) => call,
            // Nothing follows from any of them: an operation is cancelled by its own method.
            Ok(Message::Notification) => return Ok(Response::empty(202)),
            Err(unreadable) => return Ok(failure(unreadable.id, &unreadable.error)),
        };
        let id = call.id;
        let era = match call.era(request) {
            Ok(era) => era,
            Err(error) => return Ok(failure(Some(id), &error)),
        };
        let context = Context {
            era,
            owner,
            arrived_at,
        };
        Ok(match self.method(&context, call).await {
            Ok(result) => success(era, id, &result),
            Err(error) => failure(Some(id), &error.into_rpc_error()),
        })
    }

    async fn method(
        &self,
        context: &Context<'_>,
        mut call: Call<'_>,
    ) -> Result<MethodResult, CallError> {
        let members = match (context.era, call.method.as_str()) {
            (Era::Modern, "server/discover") => ResultMembers::Discovery(Discovery::new()),
            (Era::Legacy, "initialize") => {
                let requested = text(call.params.take("protocolVersion"));
                let missing = || RpcError::invalid_params("protocolVersion must be a string");
                ResultMembers::Initialized(Initialized::new(&requested.ok_or_else(missing)?))
            }
            (Era::Legacy, "ping") => ResultMembers::None {},
            (_, "tools/list") => {
                if call.params.take("cursor").is_some() {
                    return Err(RpcError::invalid_params("cursor: there is only one page").into());
                }
                ResultMembers::ToolList(self.tools().list(context.era, self.requests.wait_max()))
            }
            (_, "tools/call") => return Box::pin(self.call_tool(context, call)).await,
            (Era::Modern, "tasks/get" | "tasks/cancel" | "tasks/update") => {
                if !call.meta.declares_tasks() {
                    return Err(RpcError::missing_tasks_capability().into());
                }
                let id = task_id(call.task_id)?;
                record_operation_id(&id);
                match call.method.as_str() {
                    "tasks/get" => self.get_task(context, &id).await?,
                    "tasks/cancel" => self.cancel_task(context, &id).await?,
                    // No work asks its caller for input, so no response is outstanding.
                    _ => self
                        .read(context, &id)
                        .await
                        .map(|_| ResultMembers::None {})?,
                }
            }
            (era, method) => return Err(RpcError::method_not_found(era, method).into()),
        };
        Ok(MethodResult::complete(members))
    }

    fn tools(&self) -> &Tools {
        self.tools.get_or_init(|| Tools::of(self.catalogue))
    }

    async fn call_tool(
        &self,
        context: &Context<'_>,
        mut call: Call<'_>,
    ) -> Result<MethodResult, CallError> {
        let name =
            text(call.name).ok_or_else(|| RpcError::invalid_params("name must be a string"))?;
        let arguments = match call.params.take("arguments") {
            None => Json::empty_object(),
            Some(raw) if raw.get().starts_with('{') => Json::compact(raw),
            Some(_) => return Err(RpcError::invalid_params("arguments must be an object").into()),
        };
        let tool = OperationTool::named(&name);
        let entry = self.tools().find(&name);
        if tool.is_none() && entry.is_none() {
            return Err(RpcError::invalid_params(format!("unknown tool: {name}")).into());
        }
        if let Some(error) = &call.arguments_error {
            let error = FieldError::new(&error.pointer, error.kind.to_string());
            return Ok(wrong_arguments(&[error]));
        }
        match (tool, entry) {
            (Some(tool), _) => match tool.read(&arguments, self.requests.wait_max()) {
                Ok(OperationCall { id: Some(id), wait }) => {
                    record_operation_id(&id);
                    self.call_operation_tool(context, tool, &id, wait).await
                }
                Ok(OperationCall { id: None, .. }) => Ok(no_such_operation()),
                Err(errors) => Ok(wrong_arguments(&errors)),
            },
            (None, Some(entry)) => self.call_function(context, &call, entry, arguments).await,
            (None, None) => Err(RpcError::invalid_params("unknown tool").into()),
        }
    }

    /// Submits an operation and waits for its end.
    async fn call_function(
        &self,
        context: &Context<'_>,
        call: &Call<'_>,
        entry: &'static Entry,
        arguments: Json,
    ) -> Result<MethodResult, CallError> {
        let idempotency_key = idempotency_key(call)?;
        let mut fields = Fields::default();
        let parts = SubmissionParts {
            function: Ok(entry.name.to_owned()),
            version: None,
            arguments: fields.bound("", arguments, ARGUMENTS_BYTES_MAX),
            arguments_pointer: "",
            metadata: Ok(Json::empty_object()),
            callback: None,
            ttl_secs: None,
            start: None,
            deadline: None,
            idempotency_key,
            // The ids of JSON-RPC begin anew with every connection, so none is stored.
            origin: Origin {
                request_id: None,
                trace: self.trace(call),
            },
        };
        let submission = match self.submissions.check(parts, fields) {
            Ok(submission) => submission,
            Err(SubmissionError::Invalid(errors)) => return Ok(wrong_arguments(&errors)),
            Err(SubmissionError::UnusableSchema) => return Err(unusable_schema().into()),
            // The tool was found in the same catalogue.
            Err(SubmissionError::UnknownFunction { function, .. }) => {
                return Err(RpcError::invalid_params(format!("unknown tool: {function}")).into());
            }
        };
        let accepted = self.submissions.accept(context.owner, &submission).await?;

        let (operation, is_new) = match accepted {
            AcceptOutcome::New(operation) => (operation, true),
            AcceptOutcome::Replayed(operation) => (operation, false),
            AcceptOutcome::Conflict { key, .. } => {
                let message = format!("{} was used with other arguments", key.pointer);
                return Err(RpcError::invalid_params(message).into());
            }
            AcceptOutcome::Unavailable => return Err(Problem::unavailable().into()),
        };
        let takes_tasks = context.era == Era::Modern && call.meta.declares_tasks();
        // A client without tasks has only this wait to get the result from one call.
        let wait = if takes_tasks {
            self.mcp_wait
        } else {
            self.requests.wait_max()
        };
        let until = context.arrived_at + wait;
        let read = self
            .submissions
            .read_accepted(*operation, is_new, Some(until));
        let (operation, payloads) = Box::pin(read).await?.ok_or_else(Problem::unavailable)?;
        let now = self.clock.now();
        let result = match ended(&operation, payloads.result.as_ref()) {
            Some(ended) => MethodResult::complete(ResultMembers::ToolResult(ended?)),
            // The record is written, and every read of it is strongly consistent, so `tasks/get`
            // finds it from now on.
            None if takes_tasks => {
                let task = TaskView::new(&operation, None, now);
                MethodResult::task(ResultMembers::Task(Box::new(task)))
            }
            None => complete(still_running(&operation, now)),
        };
        Ok(result.of_operation(&operation.id))
    }

    /// Ferry's span in the caller's trace, when there is one.
    fn trace(&self, call: &Call<'_>) -> Option<Trace> {
        let trace_id = text(call.meta.traceparent).and_then(|text| trace_id(&text))?;
        let span_id = format!("{:016x}", u64::from_be_bytes(self.random.bytes()));
        Some(Trace { trace_id, span_id })
    }

    async fn call_operation_tool(
        &self,
        context: &Context<'_>,
        tool: OperationTool,
        id: &OperationId,
        wait: Duration,
    ) -> Result<MethodResult, CallError> {
        let operation = match tool {
            OperationTool::Get => {
                let Some(operation) = self.operations.read(id, context.owner).await? else {
                    return Ok(no_such_operation());
                };
                self.operations
                    .wait(operation, context.arrived_at + wait)
                    .await
            }
            OperationTool::Cancel => {
                let (preconditions, repeated) = (&Preconditions::NONE, RepeatedCancel::Succeeds);
                let outcome = self
                    .operations
                    .cancel(id, context.owner, preconditions, repeated);
                match outcome.await? {
                    CancelOutcome::Cancelled { operation, .. } => *operation,
                    CancelOutcome::Ended(operation) => {
                        let status = operation.status();
                        let text = format!("the operation is {status} and cannot be cancelled");
                        return Ok(complete(ToolResult::error([text])).of_operation(id));
                    }
                    CancelOutcome::Absent | CancelOutcome::PreconditionFailed => {
                        return Ok(no_such_operation());
                    }
                }
            }
        };
        let Some(payloads) = self.operations.payloads(&operation).await? else {
            return Ok(no_such_operation());
        };
        let view = OperationView::whole(&operation, &payloads, self.clock.now());
        let view = Json::of(&view).expect("views have string keys, so a JSON form");
        Ok(complete(ToolResult::success(&view)).of_operation(id))
    }

    async fn read(&self, context: &Context<'_>, id: &OperationId) -> Result<Operation, CallError> {
        let operation = self.operations.read(id, context.owner).await?;
        Ok(operation.ok_or_else(RpcError::task_not_found)?)
    }

    /// One read, and one more for a result that is not in the head.
    async fn get_task(
        &self,
        context: &Context<'_>,
        id: &OperationId,
    ) -> Result<ResultMembers, CallError> {
        let operation = self.read(context, id).await?;
        let payloads = self.operations.payloads(&operation).await?;
        let payloads = payloads.ok_or_else(RpcError::task_not_found)?;
        let task = TaskView::new(&operation, payloads.result.as_ref(), self.clock.now());
        Ok(ResultMembers::Task(Box::new(task)))
    }

    /// A task that has ended is left as it is, which is a success.
    async fn cancel_task(
        &self,
        context: &Context<'_>,
        id: &OperationId,
    ) -> Result<ResultMembers, CallError> {
        let (preconditions, repeated) = (&Preconditions::NONE, RepeatedCancel::Succeeds);
        let outcome = self
            .operations
            .cancel(id, context.owner, preconditions, repeated);
        match outcome.await? {
            CancelOutcome::Cancelled { .. } | CancelOutcome::Ended(_) => Ok(ResultMembers::None {}),
            CancelOutcome::Absent | CancelOutcome::PreconditionFailed => {
                Err(RpcError::task_not_found().into())
            }
        }
    }
}

const fn complete(result: ToolResult) -> MethodResult {
    MethodResult::complete(ResultMembers::ToolResult(result))
}

/// A result, since a model can correct its arguments.
fn wrong_arguments(errors: &[FieldError]) -> MethodResult {
    let text = |error: &FieldError| match error.pointer.as_str() {
        "" => format!("the arguments {}", error.detail),
        _ => error.to_string(),
    };
    let listed = errors.iter().take(ERRORS_LISTED_MAX).map(text);
    let more = (errors.len() > ERRORS_LISTED_MAX)
        .then(|| format!("more than {ERRORS_LISTED_MAX} parts of the arguments are wrong"));
    complete(ToolResult::error(listed.chain(more)))
}

fn no_such_operation() -> MethodResult {
    complete(ToolResult::error([Problem::no_such_operation().detail]))
}

/// An error to clients: the content cannot be what the tool's schema of results says.
fn still_running(operation: &Operation, now: Timestamp) -> ToolResult {
    let secs = retry_after_secs(operation, now).unwrap_or_default();
    ToolResult::error([format!(
        "The operation {id} is still running. Call {get} with operation_id {id} in {secs} s to get \
         its result, which is kept until {until}.",
        id = operation.id,
        get = OperationTool::Get.name(),
        until = kept_until(operation),
    )])
}

/// A malformed id gets the response of an unknown one, and costs no read.
fn task_id(raw: Option<&RawValue>) -> Result<OperationId, RpcError> {
    let id = text(raw).ok_or_else(|| RpcError::invalid_params("taskId must be a string"))?;
    id.parse().map_err(|_| RpcError::task_not_found())
}

fn idempotency_key(call: &Call<'_>) -> Result<Option<IdempotencyKey>, RpcError> {
    let pointer = format!("params._meta {IDEMPOTENCY_KEY}");
    let Some(raw) = call.meta.idempotency_key else {
        return Ok(None);
    };
    match text(Some(raw)).filter(|key| is_idempotency_key(key)) {
        Some(key) => Ok(Some(IdempotencyKey { key, pointer })),
        None => Err(RpcError::invalid_params(format!(
            "{pointer} {IDEMPOTENCY_KEY_RULE}"
        ))),
    }
}

/// The trace of a `traceparent` (W3C Trace Context, "traceparent Header Field Values"). One that is
/// malformed is ignored, as that specification asks.
fn trace_id(traceparent: &str) -> Option<String> {
    let is_hex = |text: &str, digits: usize| {
        let lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        text.len() == digits && text.bytes().all(lower_hex)
    };
    let mut parts = traceparent.split('-');
    let (version, trace_id) = (parts.next()?, parts.next()?);
    let (parent_id, flags) = (parts.next()?, parts.next()?);
    let is_valid = is_hex(version, 2) && version != "ff" && is_hex(trace_id, 32)
        && is_hex(parent_id, 16) && is_hex(flags, 2)
        // Later versions may add parts.
        && (version != "00" || parts.next().is_none())
        && trace_id.bytes().any(|byte| byte != b'0');
    is_valid.then(|| trace_id.to_owned())
}
