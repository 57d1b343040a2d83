//! `POST /forrst`: calls of the catalogue's functions, and by [`system`] those of the protocol's own.
//!
//! Whatever arrives, a well-formed response goes out, with the request's id as soon as one could be read.

pub mod protocol;
mod system;

use std::time::Duration;

use shared::domain::json::Json;
use shared::domain::limits::BODY_BYTES_MAX;
use shared::domain::operation::{
    FailureCode, Operation, OperationError, Origin, Owner, State, Trace,
};
use shared::domain::time::Timestamp;
use shared::http::{Answer, Fields, Problem, Request};

use self::protocol::{
    AsyncAnswer, DeadlineAnswer, Echo, ErrorObject, Errors, IdempotencyAnswer, Reading,
    Request as Call, Response, SystemCall, TracingAnswer, WebhookAnswer,
};
use crate::Submit;
use crate::accept::Accepted;
use crate::submission::{Deadline, Parts, Refused, Submission, WantedCallback};

/// What a call is answered from, besides the operation that it has become.
struct Context<'a> {
    echo: &'a Echo,
    /// When the request came: its deadline and its wait count from here.
    start: Timestamp,
    /// Our own place in the caller's trace, when there is one.
    trace: Option<&'a Trace>,
}

impl Submit {
    /// See [`Submit::accept`]; reads besides while it waits for the result.
    pub(crate) async fn forrst(&self, request: &Request) -> Answer {
        let start = self.clock.now();
        let reading = match body(request) {
            Ok(body) => Reading::of(body),
            Err(problem) => Reading {
                echo: Echo::default(),
                request: Err(problem.into()),
            },
        };
        let echo = reading.echo;
        let trace = echo.tracing.as_ref().map(|tracing| Trace {
            trace_id: tracing.options.trace_id.clone(),
            span_id: format!("{:016x}", u64::from_be_bytes(self.random.bytes())),
        });
        let context = Context {
            echo: &echo,
            start,
            trace: trace.as_ref(),
        };
        let response = match reading.request {
            Ok(call) => self.call(&context, request, call).await,
            Err(errors) => Err(errors),
        };
        let response = response.unwrap_or_else(|errors| Response::errors(echo.clone(), errors));
        let took = self.clock.now().since(start);
        let response = match &trace {
            Some(trace) => response.with(TracingAnswer::new(&trace.trace_id, &trace.span_id, took)),
            None => response,
        };
        response.into_answer(took)
    }

    async fn call(
        &self,
        context: &Context<'_>,
        request: &Request,
        call: Call,
    ) -> Result<Response, Errors> {
        let owner = request.owner()?;
        if let Some(system) = SystemCall::read(&call, context.echo, owner, &self.validators) {
            return self.system(context, owner, system?).await;
        }
        let deadline = call.extensions.deadline.clone();
        let response = self.function(context, owner, call).await;
        let response =
            response.unwrap_or_else(|errors| Response::errors(context.echo.clone(), errors));
        Ok(match deadline {
            Some(deadline) => {
                let (start, now) = (context.start, self.clock.now());
                response.with(DeadlineAnswer::new(&deadline.options, start, now))
            }
            None => response,
        })
    }

    async fn function(
        &self,
        context: &Context<'_>,
        owner: &Owner,
        call: Call,
    ) -> Result<Response, Errors> {
        let deadline = call.extensions.deadline.as_ref();
        let (parts, fields) = self.parts(context, &call);
        let (catalogue, networks) = (self.catalogue, &self.allowed_networks);
        let submission = Submission::new(parts, fields, catalogue, &self.validators, networks)
            .map_err(|refused| match refused {
                Refused::Faulty(problem) => Errors::from(problem),
                Refused::Unknown {
                    function,
                    version,
                    unknown,
                } => ErrorObject::unknown_function("/call", &function, version.as_ref(), &unknown)
                    .into(),
            })?;

        if let Some(passed) = deadline.and_then(|deadline| deadline.passed(context.start)) {
            return Err(passed);
        }

        let accepted = self.accept(owner, &submission).await?;

        let (operation, is_new) = match accepted {
            Accepted::New(operation) => (operation, true),
            Accepted::Replayed(operation) => (operation, false),
            Accepted::Conflict(existing) => return Ok(conflict(context, &call, &existing)),
        };
        let wait = if call.extensions.prefers_async() {
            Duration::ZERO
        } else {
            self.forrst_wait
        };
        let until = context.start + wait;
        let until = deadline.map_or(until, |deadline| {
            deadline.options.at(context.start).min(until)
        });
        let (operation, payloads) = Box::pin(self.told(*operation, is_new, Some(until))).await?;
        Ok(self.respond(context, &call, (&operation, payloads.result), is_new))
    }

    fn parts(&self, context: &Context<'_>, call: &Call) -> (Parts, Fields) {
        let mut fields = Fields::default();
        let deadline = call.extensions.deadline.as_ref();
        if let Some((pointer, detail)) =
            deadline.and_then(|deadline| deadline.too_far(context.start))
        {
            fields.wrong_at(pointer, detail);
        }
        if let Some(webhook) = &call.extensions.webhook
            && let Some(version) = webhook.options.signature_version
            && !self.signature_versions.contains(&version)
        {
            let pointer = webhook.pointer_to("signature_version");
            fields.wrong_at(pointer, "is not one that callbacks are signed with here");
        }
        let callback = call.extensions.callback();
        let parts = Parts {
            function: Some(call.function.clone()),
            version: call.version.clone(),
            arguments: Some(call.arguments.clone()),
            metadata: Some(Json::empty_object()),
            callback: callback.map(|callback| WantedCallback {
                url: callback.url.to_owned(),
                url_pointer: callback.pointer,
                events: callback.events,
            }),
            ttl_secs: None,
            deadline: deadline.map(|deadline| Deadline::At(deadline.options.at(context.start))),
            idempotency_key: call
                .extensions
                .idempotency
                .as_ref()
                .map(|idempotency| idempotency.options.key.clone()),
            origin: Origin {
                request_id: Some(call.id.clone()),
                trace: context.trace.cloned(),
            },
            arguments_pointer: "/call/arguments",
        };
        (parts, fields)
    }

    /// The result when it is there, the errors when it failed, and otherwise where to ask for it.
    fn respond(
        &self,
        context: &Context<'_>,
        call: &Call,
        (operation, result): (&Operation, Option<Json>),
        is_new: bool,
    ) -> Response {
        let echo = context.echo.clone();
        let extensions = &call.extensions;
        let now = self.clock.now();
        let late = extensions
            .deadline
            .as_ref()
            .filter(|deadline| deadline.options.at(context.start) <= now);
        // Under its key a call whose operation has ended has failed for good: it would be told the same again.
        let is_lasting = extensions.idempotency.is_some() && operation.status().is_terminal();
        let failed = |errors: Errors| {
            let errors = if is_lasting { errors.lasting() } else { errors };
            Response::errors(context.echo.clone(), errors)
        };
        let (mut response, is_open) = match (&operation.state, result, late) {
            (State::Completed { .. }, Some(result), _) => (Response::result(echo, result), false),
            // Whoever is the first to see that the time is up, the worker or this wait, the caller is told the same.
            (State::Failed { errors, .. }, _, late) if late.is_none() || !ran_out(errors) => {
                (failed(Errors::of_operation(errors)), false)
            }
            (.., Some(deadline)) => {
                let exceeded = deadline.options.exceeded(context.start, now);
                (failed(exceeded.into()), true)
            }
            _ => (Response::null(echo), true),
        };
        if is_open || extensions.asynchronous.is_some() {
            response = response.with(AsyncAnswer::new(operation, now));
        }
        if let Some(webhook) = &extensions.webhook {
            response = response.with(WebhookAnswer::new(
                &webhook.options,
                self.signature_versions[0],
            ));
        }
        if let Some(idempotency) = &extensions.idempotency {
            let key = &idempotency.options.key;
            response = response.with(if is_new {
                IdempotencyAnswer::first(key, &call.id, operation, now)
            } else {
                let original_request_id = operation.origin.request_id.as_deref();
                IdempotencyAnswer::repeated(key, original_request_id, operation, now)
            });
        }
        response
    }
}

fn body(request: &Request) -> Result<&[u8], Problem> {
    if request.method != "POST" {
        return Err(Problem::method_not_allowed("POST"));
    }
    request.json_body(BODY_BYTES_MAX)
}

/// Whether an operation failed because of its deadline.
fn ran_out(errors: &[OperationError]) -> bool {
    let code = FailureCode::DeadlineExceeded.as_str();
    errors.iter().any(|error| error.code == code)
}

fn conflict(context: &Context<'_>, call: &Call, existing: &Operation) -> Response {
    let echo = context.echo.clone();
    let Some(idempotency) = &call.extensions.idempotency else {
        // Without a key there is nothing to conflict with.
        return Response::errors(echo, Problem::unavailable());
    };
    let error = idempotency.conflict(existing.request_hash.as_ref());
    let original_request_id = existing.origin.request_id.as_deref();
    Response::errors(echo, error).with(IdempotencyAnswer::conflict(
        &idempotency.options.key,
        original_request_id,
    ))
}
