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
//! Each of these modules uses only those before it:
//!
//! - `version`, `error`: the revisions and their errors;
//! - `origin`, `message`, `header`: what a client sends;
//! - `server`, `operation_tool`, `tool_list`, `tool_result`, `task`, `view`: what it gets;
//! - `call`: what a call of a tool does.

mod call;
mod error;
mod header;
mod message;
mod operation_tool;
mod origin;
mod server;
mod task;
mod tool_list;
mod tool_result;
mod version;
mod view;

use shared::domain::id::OperationId;
use shared::domain::limits::BODY_BYTES_MAX;
use shared::domain::operation::{Operation, Owner};
use shared::domain::precondition::Preconditions;
use shared::domain::time::Timestamp;
use shared::http::{Problem, Request, RequestError, Response};
use shared::operations::{self, CancelOutcome, RepeatedCancel};
use shared::request::ErrorCode;
use shared::store::StoreError;
use shared::telemetry::record_operation_id;

use self::error::RpcError;
use self::header::check_notification;
use self::message::{CALL_TOOL, Call, Message, text};
pub(crate) use self::origin::AllowedOrigins;
use self::server::{Discovery, Initialized};
use self::task::TaskView;
pub(crate) use self::tool_list::Tools;
use self::version::Era;
use self::view::{MethodResult, ResultMembers, failure, success};
use crate::Handler;

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
            Ok(Message::Notification { method }) => {
                return Ok(match notified(request, &method) {
                    Ok(()) => Response::empty(202),
                    Err(error) => failure(None, &error),
                });
            }
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
            (_, CALL_TOOL) => return Box::pin(self.call_tool(context, call)).await,
            (Era::Modern, "tasks/get") => self.get_task(context, &task_id(&call)?).await?,
            (Era::Modern, "tasks/cancel") => self.cancel_task(context, &task_id(&call)?).await?,
            (Era::Modern, "tasks/update") => {
                self.read(context, &task_id(&call)?).await?;
                // No work asks its caller for input, so no response is outstanding.
                ResultMembers::None {}
            }
            (era, method) => return Err(RpcError::method_not_found(era, method).into()),
        };
        Ok(MethodResult::complete(members))
    }

    fn tools(&self) -> &Tools {
        self.tools.get_or_init(|| Tools::of(self.catalogue))
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

    async fn cancel_operation(
        &self,
        context: &Context<'_>,
        id: &OperationId,
    ) -> Result<CancelOutcome, StoreError> {
        let (preconditions, repeated) = (&Preconditions::NONE, RepeatedCancel::Succeeds);
        let operations = &self.operations;
        operations
            .cancel(id, context.owner, preconditions, repeated)
            .await
    }

    /// A task that has ended is left as it is, which is a success.
    async fn cancel_task(
        &self,
        context: &Context<'_>,
        id: &OperationId,
    ) -> Result<ResultMembers, CallError> {
        match self.cancel_operation(context, id).await? {
            CancelOutcome::Cancelled { .. } | CancelOutcome::Ended(_) => Ok(ResultMembers::None {}),
            CancelOutcome::Absent | CancelOutcome::PreconditionFailed => {
                Err(RpcError::task_not_found().into())
            }
        }
    }
}

/// Accepts a notification. Nothing follows from any: an operation is cancelled by its own method.
fn notified(request: &Request, method: &str) -> Result<(), RpcError> {
    if !method.starts_with("notifications/") {
        return Err(RpcError::invalid_request(format!("{method} needs an id")));
    }
    check_notification(request, method)
}

/// The task that a method of the extension is for. A malformed id gets the response of an unknown
/// one, and costs no read.
fn task_id(call: &Call<'_>) -> Result<OperationId, RpcError> {
    if !call.meta.declares_tasks() {
        return Err(RpcError::missing_tasks_capability());
    }
    let id = text(call.task_id).ok_or_else(|| RpcError::invalid_params("taskId must be a string"));
    let id = id?.parse().map_err(|_| RpcError::task_not_found())?;
    record_operation_id(&id);
    Ok(id)
}
