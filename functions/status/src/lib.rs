//! Shows, lists, cancels, erases and redelivers operations: every HTTP route but the submit.

mod cancel;
mod erase;
mod functions;
mod list;
mod read;
mod redeliver;

use std::sync::Arc;

use shared::aws::Aws;
use shared::catalogue::Catalogue;
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::operation::Operation;
use shared::http::{
    Answer, Event, GatewayResponse, Problem, Request, RequestError, RequestSettings, show,
};
use shared::operations::Operations;
use shared::random::Random;
use shared::telemetry::{record_operation_id, request_span};
use tracing::Instrument as _;

/// The function `status`. One per process.
pub struct Handler {
    operations: Operations,
    catalogue: Catalogue,
    requests: RequestSettings,
    clock: Arc<dyn Clock>,
}

impl Handler {
    /// # Errors
    ///
    /// When a setting is missing or malformed.
    pub fn new(
        environment: &Environment,
        aws: &Aws,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SettingError> {
        let store = aws.store(environment)?;
        let callbacks = aws.queue(environment, "CALLBACK_QUEUE_URL")?;
        Ok(Self {
            operations: Operations::new(store, callbacks, Arc::clone(&clock), random),
            catalogue: Catalogue::new(environment.switch("DEMO_FUNCTIONS")?),
            requests: RequestSettings::new(environment)?,
            clock,
        })
    }

    /// Serves one request.
    pub async fn handle(&self, event: Event) -> GatewayResponse {
        let request = Request::new(event, &self.requests);
        let span = request_span(&request.id);
        let answer = self.answer(&request).instrument(span).await;
        answer.into_response(&request.id)
    }

    async fn answer(&self, request: &Request) -> Answer {
        if let Ok(id) = request.operation_id() {
            record_operation_id(&id);
        }
        match self.route(request).await {
            Ok(answer) => answer,
            Err(error) => Answer::problem(&error.into_problem(), &request.id),
        }
    }

    /// Dispatches by the route's path and the method, never by the raw path. The answer to `HEAD`
    /// has the body of `GET`, which an HTTP server does not pass on (RFC 9110, section 9.3.2), so
    /// that its `content-length` is right.
    async fn route(&self, request: &Request) -> Result<Answer, RequestError> {
        match (request.route.as_str(), request.method.as_str()) {
            ("/operations", "GET" | "HEAD") => self.list(request).await,
            ("/operations", _) => Err(Problem::method_not_allowed("GET, HEAD, POST").into()),
            ("/operations/{id}", "GET" | "HEAD") => self.read(request).await,
            ("/operations/{id}", "DELETE") => self.erase(request).await,
            ("/operations/{id}", _) => Err(Problem::method_not_allowed("DELETE, GET, HEAD").into()),
            ("/operations/{id}/cancel", "POST") => self.cancel(request).await,
            ("/operations/{id}/redeliver", "POST") => self.redeliver(request).await,
            ("/operations/{id}/cancel" | "/operations/{id}/redeliver", _) => {
                Err(Problem::method_not_allowed("POST").into())
            }
            ("/functions", "GET" | "HEAD") => {
                request.owner()?;
                Ok(self.functions())
            }
            // Without the store: it shows that the function runs, and needs no owner.
            ("/health", "GET" | "HEAD") => Ok(Answer::json(200, r#"{"status":"ok"}"#.to_owned())),
            ("/functions" | "/health", _) => Err(Problem::method_not_allowed("GET, HEAD").into()),
            // The gateway answers unknown paths itself. This is a route of the gateway's that this
            // function does not serve.
            _ => Err(Problem::no_such_operation().into()),
        }
    }

    /// Shows an operation with everything.
    async fn show(&self, operation: &Operation, status: u16) -> Result<Answer, RequestError> {
        let payloads = self.operations.payloads(operation).await?;
        let payloads = payloads.ok_or_else(Problem::no_such_operation)?;
        Ok(show(operation, &payloads, status, self.clock.now()))
    }
}
