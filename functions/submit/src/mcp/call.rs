//! `tools/call`.

use std::time::Duration;

use shared::catalogue::Entry;
use shared::domain::id::OperationId;
use shared::domain::json::{self, Json};
use shared::domain::limits::{ARGUMENTS_BYTES_MAX, ERRORS_LISTED_MAX, NESTING_MAX};
use shared::domain::operation::{Operation, Origin, Trace};
use shared::domain::time::Timestamp;
use shared::http::Problem;
use shared::operations::{
    AcceptOutcome, CancelOutcome, IdempotencyKey, SubmissionError, SubmissionParts,
};
use shared::request::{FieldError, Fields, IDEMPOTENCY_KEY_RULE, is_idempotency_key};
use shared::telemetry::record_operation_id;
use shared::view::{OperationView, retry_after_secs};

use super::error::RpcError;
use super::message::{ARGUMENTS, Call, IDEMPOTENCY_KEY, text};
use super::operation_tool::{OperationCall, OperationTool};
use super::task::TaskView;
use super::tool_result::{ToolResult, ended};
use super::version::Era;
use super::view::{MethodResult, ResultMembers};
use super::{CallError, Context};
use crate::Handler;
use crate::rest::unusable_schema;

/// What a tool does.
enum Tool {
    /// Submits an operation of this function.
    Function(&'static Entry),
    Operation(OperationTool),
}

impl Handler {
    pub(super) async fn call_tool(
        &self,
        context: &Context<'_>,
        mut call: Call<'_>,
    ) -> Result<MethodResult, CallError> {
        let name =
            text(call.name).ok_or_else(|| RpcError::invalid_params("name must be a string"))?;
        let arguments = call.params.take(ARGUMENTS);
        if arguments.is_some_and(|raw| !raw.get().starts_with('{')) {
            return Err(RpcError::invalid_params("arguments must be an object").into());
        }
        let unknown = || RpcError::invalid_params(format!("unknown tool: {name}"));
        let tool = self.tool(&name).ok_or_else(unknown)?;
        // The message, the parameters and the arguments are three levels.
        if let Some(Err(error)) = arguments.map(|raw| json::check(raw, NESTING_MAX - 2)) {
            let error = FieldError::new(error.pointer, error.kind.to_string());
            return Ok(wrong_arguments(&[error]));
        }
        let arguments = arguments.map_or_else(Json::empty_object, Json::compact);
        let tool = match tool {
            Tool::Function(entry) => {
                return self.call_function(context, &call, entry, arguments).await;
            }
            Tool::Operation(tool) => tool,
        };
        match tool.read(&arguments, self.requests.wait_max()) {
            Ok(OperationCall { id: Some(id), wait }) => {
                record_operation_id(&id);
                self.call_operation_tool(context, tool, &id, wait).await
            }
            Ok(OperationCall { id: None, .. }) => Ok(no_such_operation()),
            Err(errors) => Ok(wrong_arguments(&errors)),
        }
    }

    fn tool(&self, name: &str) -> Option<Tool> {
        let of_operations = OperationTool::named(name).map(Tool::Operation);
        of_operations.or_else(|| self.tools().find(name).map(Tool::Function))
    }

    /// Submits an operation and waits for its end.
    async fn call_function(
        &self,
        context: &Context<'_>,
        call: &Call<'_>,
        entry: &'static Entry,
        arguments: Json,
    ) -> Result<MethodResult, CallError> {
        let (parts, fields) = self.parts_of_call(call, entry, arguments)?;
        let submission = match self.submissions.check(parts, fields) {
            Ok(submission) => submission,
            Err(SubmissionError::Invalid(errors)) => return Ok(wrong_arguments(&errors)),
            Err(SubmissionError::UnusableSchema) => return Err(unusable_schema().into()),
            Err(SubmissionError::UnknownFunction { .. }) => {
                unreachable!("the tool was found in the same catalogue")
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
            None => complete(still_running(&operation, wait, now)),
        };
        Ok(result.of_operation(&operation.id))
    }

    fn parts_of_call(
        &self,
        call: &Call<'_>,
        entry: &Entry,
        arguments: Json,
    ) -> Result<(SubmissionParts, Fields), RpcError> {
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
            idempotency_key: idempotency_key(call)?,
            // The ids of JSON-RPC begin anew with every connection, so none is stored.
            origin: Origin {
                request_id: None,
                trace: self.trace(call),
            },
        };
        Ok((parts, fields))
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
            OperationTool::Cancel => match self.cancel_operation(context, id).await? {
                CancelOutcome::Cancelled { operation, .. } => *operation,
                CancelOutcome::Ended(operation) => {
                    let status = operation.status();
                    let text = format!("the operation is {status} and cannot be cancelled");
                    return Ok(complete(ToolResult::error([text])).of_operation(id));
                }
                CancelOutcome::Absent | CancelOutcome::PreconditionFailed => {
                    return Ok(no_such_operation());
                }
            },
        };
        let Some(payloads) = self.operations.payloads(&operation).await? else {
            return Ok(no_such_operation());
        };
        let view = OperationView::whole(&operation, &payloads, self.clock.now());
        let view = Json::of(&view).expect("views have string keys, so a JSON form");
        Ok(complete(ToolResult::success(&view)).of_operation(id))
    }
}

const fn complete(result: ToolResult) -> MethodResult {
    MethodResult::complete(ResultMembers::ToolResult(result))
}

/// A result, since a model can correct its arguments.
fn wrong_arguments(errors: &[FieldError]) -> MethodResult {
    let text = |error: &FieldError| match error.pointer.as_str() {
        "" => format!("{ARGUMENTS} {}", error.detail),
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

/// `isError`, because a success would have to match the tool's output schema. A model has no clock,
/// so the next call waits in its place, where calls may wait.
fn still_running(operation: &Operation, wait: Duration, now: Timestamp) -> ToolResult {
    let again = if wait.is_zero() {
        let secs = retry_after_secs(operation, now).expect("the operation has not ended");
        format!("in {secs} s, and then after each retry_after that it returns,")
    } else {
        format!("and wait_seconds {}", wait.as_secs())
    };
    ToolResult::error([format!(
        "The operation {id} is still running. Call {get} with operation_id {id} {again} until it \
         has ended; its result is kept for {kept} after its end.",
        id = operation.id,
        get = OperationTool::Get.name(),
        kept = in_words(operation.retention_secs),
    )])
}

/// A duration in its largest unit that has no fraction.
fn in_words(secs: u32) -> String {
    let (count, unit) = match secs {
        _ if secs.is_multiple_of(3600) => (secs / 3600, "hour"),
        _ if secs.is_multiple_of(60) => (secs / 60, "minute"),
        _ => (secs, "second"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
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
    let is_id = |text: &str, digits| is_hex(text, digits) && text.bytes().any(|byte| byte != b'0');
    let is_valid = is_hex(version, 2) && version != "ff" && is_id(trace_id, 32)
        && is_id(parent_id, 16) && is_hex(flags, 2)
        // Later versions may add parts.
        && (version != "00" || parts.next().is_none());
    is_valid.then(|| trace_id.to_owned())
}
