//! Shows, lists, cancels, erases and redelivers operations: every route but `POST /operations`,
//! `POST /operations/{id}/redrive`, `POST /forrst` and `POST /mcp`.

mod cancel;
mod erase;
mod functions;
mod list;
mod protected_resource;
mod read;
mod redeliver;

use std::sync::Arc;

use shared::aws::Aws;
use shared::catalogue::Catalogue;
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::operation::Operation;
use shared::http::{
    GatewayEvent, GatewayResponse, Problem, Request, RequestError, RequestSettings, Response,
    Route, show,
};
use shared::operations::Operations;
use shared::random::Random;
use shared::telemetry::{record_operation_id, request_span};
use tracing::Instrument as _;

use crate::protected_resource::ProtectedResource;

/// The function `status`. One per process.
pub struct Handler {
    operations: Operations,
    catalogue: Catalogue,
    requests: RequestSettings,
    protected_resource: Option<ProtectedResource>,
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
            catalogue: Catalogue::load(environment)?,
            requests: RequestSettings::new(environment)?,
            protected_resource: ProtectedResource::new(environment),
            clock,
        })
    }

    /// Serves one request.
    pub async fn handle(&self, event: GatewayEvent) -> GatewayResponse {
        let request = Request::new(event, &self.requests);
        let span = request_span(&request.id);
        let response = self.response_to(&request).instrument(span).await;
        response.into_gateway_response(&request.id)
    }

    async fn response_to(&self, request: &Request) -> Response {
        if let Ok(id) = request.operation_id() {
            record_operation_id(&id);
        }
        match self.route(request).await {
            Ok(response) => response,
            Err(error) => Response::problem(&error.into_problem(), &request.id),
        }
    }

    /// Dispatches by the route key's path and the method, never by the raw path. `HEAD` is answered
    /// with the body of `GET`, so that its `content-length` is right; no HTTP server sends the body
    /// (RFC 9110, section 9.3.2).
    async fn route(&self, request: &Request) -> Result<Response, RequestError> {
        match Route::of(request)? {
            Route::ListOperations => self.list(request).await,
            Route::ReadOperation => self.read(request).await,
            Route::EraseOperation => self.erase(request).await,
            Route::CancelOperation => self.cancel(request).await,
            Route::RedeliverCallback => self.redeliver(request).await,
            Route::ListFunctions => {
                request.owner()?;
                Ok(self.functions())
            }
            // It reports that the function runs; it needs neither the store nor an owner.
            Route::Health => Ok(Response::json(200, r#"{"status":"ok"}"#.to_owned())),
            Route::ProtectedResource | Route::ProtectedMcp => {
                let resource = self.protected_resource.as_ref();
                let resource = resource.ok_or_else(ProtectedResource::missing)?;
                Ok(resource.show(request))
            }
            // The gateway sends these to `submit`.
            Route::SubmitOperation
            | Route::RedriveOperation
            | Route::CallForrst
            | Route::CallMcp => Err(Problem::no_such_operation().into()),
        }
    }

    /// Shows an operation with everything.
    async fn show(&self, operation: &Operation, status: u16) -> Result<Response, RequestError> {
        let payloads = self.operations.payloads(operation).await?;
        let payloads = payloads.ok_or_else(Problem::no_such_operation)?;
        Ok(show(operation, &payloads, status, self.clock.now()))
    }
}
