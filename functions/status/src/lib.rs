//! Shows, lists, cancels, erases and redelivers: every HTTP route but the submit.

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
use shared::http::{Answer, Event, GatewayResponse, Problem, Request, RequestSettings};
use shared::operations::Operations;
use shared::queue::Queue;
use shared::random::Random;
use shared::store::Store;
use shared::telemetry::{audit, record_operation_id, request_span};
use tracing::Instrument as _;

/// The function. One for a process.
pub struct Status {
    operations: Operations,
    store: Store,
    callbacks: Queue,
    catalogue: Catalogue,
    requests: RequestSettings,
    clock: Arc<dyn Clock>,
}

impl Status {
    /// The function with its settings, the clients and what comes from outside.
    ///
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
            operations: Operations::new(
                store.clone(),
                callbacks.clone(),
                Arc::clone(&clock),
                random,
            ),
            store,
            callbacks,
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
            Err(problem) => Answer::problem(&problem, &request.id),
        }
    }

    /// By the route's path and the method, never by the raw path. `HEAD` is answered with the body of `GET`, which no HTTP server
    /// sends on (RFC 9110, section 9.3.2), so that its `content-length` is right.
    async fn route(&self, request: &Request) -> Result<Answer, Problem> {
        match (request.route.as_str(), request.method.as_str()) {
            ("/operations", "GET" | "HEAD") => self.list(request).await,
            ("/operations", _) => Err(Problem::method_not_allowed("GET, HEAD, POST")),
            ("/operations/{id}", "GET" | "HEAD") => self.read(request).await,
            ("/operations/{id}", "DELETE") => audited("erase", request, self.erase(request).await),
            ("/operations/{id}", _) => Err(Problem::method_not_allowed("DELETE, GET, HEAD")),
            ("/operations/{id}/cancel", "POST") => {
                audited("cancel", request, self.cancel(request).await)
            }
            ("/operations/{id}/redeliver", "POST") => {
                audited("redeliver", request, self.redeliver(request).await)
            }
            ("/operations/{id}/cancel" | "/operations/{id}/redeliver", _) => {
                Err(Problem::method_not_allowed("POST"))
            }
            ("/functions", "GET" | "HEAD") => {
                request.owner()?;
                Ok(self.functions())
            }
            // Without the store: it says that the function runs, and needs no owner.
            ("/health", "GET" | "HEAD") => Ok(Answer::json(200, r#"{"status":"ok"}"#.to_owned())),
            ("/functions" | "/health", _) => Err(Problem::method_not_allowed("GET, HEAD")),
            // The gateway answers unknown paths itself; this is a route that it has and this function does not.
            _ => Err(Problem::no_such_operation()),
        }
    }
}

/// Logs for the record what was asked of an operation, and what came of it. A request that names no owner or no operation asks
/// nothing of any.
fn audited(
    action: &str,
    request: &Request,
    answer: Result<Answer, Problem>,
) -> Result<Answer, Problem> {
    if let (Ok(owner), Ok(id)) = (request.owner(), request.operation_id()) {
        let refused = answer.as_ref().err().map(|problem| problem.code.as_str());
        audit(action, &id, owner, refused);
    }
    answer
}
