//! `POST /forrst`: calls of the catalogue's functions, and in `system` those of the protocol's
//! own.
//!
//! Every request gets a well-formed response, with the request's id as soon as it can be read.

pub mod protocol;
mod system;

use std::time::Duration;

use shared::domain::json::Json;
use shared::domain::limits::BODY_BYTES_MAX;
use shared::domain::operation::{
    FailureCode, Operation, OperationError, Origin, Owner, State, Trace,
};
use shared::domain::time::Timestamp;
use shared::http::{Problem, Request, RequestError, Response, Route};
use shared::operations::{
    self, AcceptOutcome, Deadline, IdempotencyKey, RequestedCallback, SubmissionError,
    SubmissionParts,
};
use shared::request::{Fields, Start};
use shared::store::StoreError;

use self::protocol::{
    AsyncData, DeadlineData, Echo, ErrorObject, Errors, ForrstRequest, ForrstResponse,
    IdempotencyData, ParsedBody, SystemCall, TracingData, WebhookData,
};
use crate::Handler;
use crate::rest::unusable_schema;

/// What a response needs besides the operation.
struct Context<'a> {
    echo: &'a Echo,
    /// When the request arrived: its start, its deadline and its wait count from here.
    arrived_at: Timestamp,
    /// Ferry's span in the caller's trace, when there is one.
    trace: Option<&'a Trace>,
}

/// Why a call gets errors.
enum CallError {
    /// The call is refused, and these say why.
    Refused(Errors),
    /// The store or a queue failed.
    Failed(operations::Error),
}

impl CallError {
    /// This is the edge: it logs a failure, with its causes.
    fn into_response(self, echo: &Echo) -> ForrstResponse {
        let errors = match self {
            Self::Refused(errors) => errors,
            Self::Failed(error) => RequestError::from(error).into_problem().into(),
        };
        ForrstResponse::errors(echo.clone(), errors)
    }
}

impl From<Errors> for CallError {
    fn from(errors: Errors) -> Self {
        Self::Refused(errors)
    }
}

impl From<ErrorObject> for CallError {
    fn from(error: ErrorObject) -> Self {
        Self::Refused(error.into())
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
    /// Serves a call. Accepting costs what it does by REST; the wait for the result adds reads.
    pub(crate) async fn forrst(&self, request: &Request) -> Response {
        let arrived_at = self.clock.now();
        let parsed = match body(request) {
            Ok(body) => ParsedBody::of(body),
            Err(problem) => ParsedBody {
                echo: Echo::default(),
                request: Err(problem.into()),
            },
        };
        let echo = parsed.echo;
        let trace = echo.tracing.as_ref().map(|tracing| Trace {
            trace_id: tracing.options.trace_id.clone(),
            span_id: format!("{:016x}", u64::from_be_bytes(self.random.bytes())),
        });
        let context = Context {
            echo: &echo,
            arrived_at,
            trace: trace.as_ref(),
        };
        let response = match parsed.request {
            Ok(call) => self.call(&context, request, call).await,
            Err(errors) => Err(errors.into()),
        };
        let response = response.unwrap_or_else(|error| error.into_response(&echo));
        let took = self.clock.now().since(arrived_at);
        let response = match &trace {
            Some(trace) => response.with(TracingData::new(&trace.trace_id, &trace.span_id, took)),
            None => response,
        };
        response.into_http_response(took)
    }

    async fn call(
        &self,
        context: &Context<'_>,
        request: &Request,
        call: ForrstRequest,
    ) -> Result<ForrstResponse, CallError> {
        let owner = request.owner()?;
        let spellings = &context.echo.spellings;
        if let Some(system) = SystemCall::read(&call, spellings, owner, &self.validators) {
            return self.system(context, owner, system?).await;
        }
        let deadline = call.extensions.deadline.clone();
        let deadline = deadline.zip(call.extensions.deadline_at(context.arrived_at));
        let response = self.function(context, owner, call).await;
        let response = response.unwrap_or_else(|error| error.into_response(context.echo));
        Ok(match deadline {
            Some((deadline, deadline_at)) => {
                let (options, arrived_at) = (&deadline.options, context.arrived_at);
                let now = self.clock.now();
                response.with(DeadlineData::new(options, deadline_at, arrived_at, now))
            }
            None => response,
        })
    }

    async fn function(
        &self,
        context: &Context<'_>,
        owner: &Owner,
        call: ForrstRequest,
    ) -> Result<ForrstResponse, CallError> {
        let arrived_at = context.arrived_at;
        let deadline = call.extensions.deadline.as_ref();
        let (parts, fields) = self.parts(context, &call);
        let submission = self.submissions.check(parts, fields).map_err(errors)?;

        if let Some(passed) = deadline.and_then(|deadline| deadline.passed(arrived_at)) {
            return Err(passed.into());
        }

        let accepted = self.submissions.accept(owner, &submission).await?;

        let (operation, is_new) = match accepted {
            AcceptOutcome::New(operation) => (operation, true),
            AcceptOutcome::Replayed(operation) => (operation, false),
            AcceptOutcome::Conflict { key, existing } => {
                return Ok(conflict(context, &key, &existing));
            }
            AcceptOutcome::Unavailable => return Err(Problem::unavailable().into()),
        };
        let wait = if call.extensions.prefers_async() {
            Duration::ZERO
        } else {
            self.forrst_wait
        };
        let until = arrived_at + wait;
        let deadline_at = call.extensions.deadline_at(arrived_at);
        let until = deadline_at.map_or(until, |deadline_at| deadline_at.min(until));
        // An operation that starts later has no result within the wait.
        let starts_late = operation
            .starts_at
            .is_some_and(|starts_at| starts_at >= until);
        let until = if starts_late { arrived_at } else { until };
        let read = self
            .submissions
            .read_accepted(*operation, is_new, Some(until));
        let (operation, payloads) = Box::pin(read).await?.ok_or_else(Problem::unavailable)?;
        Ok(self.respond(context, &call, (&operation, payloads.result), is_new))
    }

    fn parts(&self, context: &Context<'_>, call: &ForrstRequest) -> (SubmissionParts, Fields) {
        let mut fields = Fields::default();
        let (extensions, arrived_at) = (&call.extensions, context.arrived_at);
        for (pointer, detail) in extensions.time_errors(arrived_at) {
            fields.reject_at(pointer, detail);
        }
        if let Some(webhook) = &extensions.webhook
            && let Some(version) = webhook.options.signature_version
            && !self.signature_versions.contains(&version)
        {
            let pointer = webhook.pointer_to("signature_version");
            fields.reject_at(pointer, "is not a version that callbacks are signed with");
        }
        let callback = extensions.callback();
        let idempotency = extensions.idempotency.as_ref();
        let parts = SubmissionParts {
            function: Ok(call.function.clone()),
            version: call.version.clone(),
            arguments: Ok(call.arguments.clone()),
            arguments_pointer: "/call/arguments",
            metadata: Ok(Json::empty_object()),
            callback: callback.map(|callback| RequestedCallback {
                url: callback.url.to_owned(),
                url_pointer: callback.pointer,
                events: Ok(callback.events),
            }),
            ttl_secs: None,
            // As the deadline, it counts from when the call arrived.
            start: Some(Start::At(extensions.starts_at(arrived_at))),
            deadline: extensions.deadline_at(arrived_at).map(Deadline::At),
            idempotency_key: idempotency.map(|idempotency| IdempotencyKey {
                key: idempotency.options.key.clone(),
                pointer: idempotency.pointer_to("key"),
            }),
            origin: Origin {
                request_id: Some(call.id.clone()),
                trace: context.trace.cloned(),
            },
        };
        (parts, fields)
    }

    /// The result of a completed operation, the errors of a failed one, and otherwise how to poll
    /// it.
    fn respond(
        &self,
        context: &Context<'_>,
        call: &ForrstRequest,
        (operation, result): (&Operation, Option<Json>),
        is_new: bool,
    ) -> ForrstResponse {
        let echo = context.echo.clone();
        let extensions = &call.extensions;
        let now = self.clock.now();
        let late = extensions
            .deadline
            .as_ref()
            .filter(|_| extensions.deadline_at(context.arrived_at) <= Some(now));
        // A retry under the key of an operation that has ended gets the same response.
        let is_permanent = extensions.idempotency.is_some() && operation.status().is_terminal();
        let failed = |errors: Errors| {
            let errors = if is_permanent {
                errors.permanent()
            } else {
                errors
            };
            ForrstResponse::errors(context.echo.clone(), errors)
        };
        let (mut response, is_open) = match (&operation.state, result, late) {
            (State::Completed { .. }, Some(result), _) => {
                (ForrstResponse::result(echo, result), false)
            }
            // The response is the same whether the worker or this wait finds first that the
            // deadline has passed.
            (State::Failed { errors, .. }, _, late)
                if late.is_none() || !missed_deadline(errors) =>
            {
                (failed(Errors::of_operation(errors)), false)
            }
            (.., Some(deadline)) => {
                let exceeded = deadline.options.exceeded(context.arrived_at, now);
                (failed(exceeded.into()), true)
            }
            _ => (ForrstResponse::null(echo), true),
        };
        if is_open || extensions.asynchronous.is_some() {
            response = response.with(AsyncData::new(operation, now));
        }
        if let Some(webhook) = &extensions.webhook {
            response = response.with(WebhookData::new(
                &webhook.options,
                self.signature_versions[0],
            ));
        }
        if let Some(idempotency) = &extensions.idempotency {
            let key = &idempotency.options.key;
            response = response.with(if is_new {
                IdempotencyData::first(key, &call.id, operation, now)
            } else {
                let original_request_id = operation.origin.request_id.as_deref();
                IdempotencyData::repeated(key, original_request_id, operation, now)
            });
        }
        response
    }
}

fn body(request: &Request) -> Result<&[u8], Problem> {
    // Only POST has a route here; any other method gets 405.
    Route::of(request)?;
    request.json_body(BODY_BYTES_MAX)
}

/// Whether an operation failed because of its deadline.
fn missed_deadline(errors: &[OperationError]) -> bool {
    let code = FailureCode::DeadlineExceeded.as_str();
    errors.iter().any(|error| error.code == code)
}

fn errors(error: SubmissionError) -> Errors {
    match error {
        SubmissionError::Invalid(errors) => Problem::fields(errors).into(),
        SubmissionError::UnusableSchema => unusable_schema().into(),
        SubmissionError::UnknownFunction {
            function,
            version,
            unknown,
        } => ErrorObject::unknown_function("/call", &function, version.as_ref(), &unknown).into(),
    }
}

fn conflict(
    context: &Context<'_>,
    IdempotencyKey { key, pointer }: &IdempotencyKey,
    existing: &Operation,
) -> ForrstResponse {
    let hash = existing.request_hash.as_ref();
    let error = ErrorObject::idempotency_conflict(pointer, key, hash);
    let original_request_id = existing.origin.request_id.as_deref();
    ForrstResponse::errors(context.echo.clone(), error)
        .with(IdempotencyData::conflict(key, original_request_id))
}
