//! Accepts operations: `POST /operations`, `POST /operations/{id}/redrive`, `POST /forrst` with
//! everything that the Forrst protocol can do, and `POST /mcp` for agents.

pub mod forrst;
mod mcp;
mod redrive;
mod rest;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use shared::aws::Aws;
use shared::catalogue::Catalogue;
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::callback::SignatureVersion;
use shared::domain::limits::{FORRST_WAIT_SECS_DEFAULT, MCP_WAIT_SECS_DEFAULT, WAIT_SECS_MAX};
use shared::http::{
    GatewayEvent, GatewayResponse, Problem, Request, RequestError, RequestSettings, Response, Route,
};
use shared::operations::{Operations, Submissions};
use shared::queue::Queue;
use shared::random::Random;
use shared::schema::Validators;
use shared::store::Store;
use shared::telemetry::request_span;
use tracing::Instrument as _;

use crate::mcp::{AllowedOrigins, Tools};

/// The function `submit`. One per process.
pub struct Handler {
    operations: Operations,
    submissions: Submissions,
    catalogue: Catalogue,
    /// The schemas of Forrst's own functions; [`Submissions`] has those of the catalogue.
    validators: Validators,
    /// Only Forrst's health check uses it.
    store: Store,
    /// Only Forrst's health check uses it.
    dispatch: Queue,
    requests: RequestSettings,
    forrst_wait: Duration,
    /// For MCP clients that take tasks; others wait for as long as any caller may.
    mcp_wait: Duration,
    allowed_origins: AllowedOrigins,
    /// The catalogue as MCP shows it, made for the first call: most processes serve none.
    tools: OnceLock<Tools>,
    /// A setting, since this function does not see the secrets. Never empty; the first is the
    /// default.
    signature_versions: Vec<SignatureVersion>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
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
        let requests = RequestSettings::new(environment)?;
        let operations = Operations::new(
            store.clone(),
            callbacks,
            Arc::clone(&clock),
            Arc::clone(&random),
        );
        let dispatch = aws.queue(environment, "DISPATCH_QUEUE_URL")?;
        let catalogue = Catalogue::load(environment)?;
        let submissions = Submissions::new(
            operations.clone(),
            dispatch.clone(),
            catalogue,
            environment.allowed_networks("CALLBACK_ALLOWED_NETWORKS")?,
            environment.required("ID_SALT")?.to_owned(),
        );
        Ok(Self {
            operations,
            submissions,
            catalogue,
            validators: Validators::default(),
            store,
            dispatch,
            // `WAIT_SECONDS_MAX=0` also turns off the protocols' own waits.
            forrst_wait: wait(environment, "FORRST_WAIT_SECONDS", FORRST_WAIT_SECS_DEFAULT)?
                .min(requests.wait_max()),
            mcp_wait: wait(environment, "MCP_WAIT_SECONDS", MCP_WAIT_SECS_DEFAULT)?
                .min(requests.wait_max()),
            allowed_origins: AllowedOrigins::new(environment)?,
            tools: OnceLock::new(),
            requests,
            signature_versions: environment.signature_versions()?,
            clock,
            random,
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
        if request.route == Route::CallForrst.path() {
            return self.forrst(request).await;
        }
        match self.route(request).await {
            Ok(response) => response,
            Err(error) => Response::problem(&error.into_problem(), &request.id),
        }
    }

    async fn route(&self, request: &Request) -> Result<Response, RequestError> {
        match Route::of(request)? {
            Route::SubmitOperation => self.rest(request).await,
            Route::RedriveOperation => self.redrive(request).await,
            Route::CallMcp => self.mcp(request).await,
            // The gateway sends these to `status`, and `forrst` takes its own.
            Route::CallForrst
            | Route::ListOperations
            | Route::ReadOperation
            | Route::EraseOperation
            | Route::CancelOperation
            | Route::RedeliverCallback
            | Route::ListFunctions
            | Route::Health
            | Route::ProtectedResource
            | Route::ProtectedMcp => Err(Problem::no_such_operation().into()),
        }
    }
}

fn wait(
    environment: &Environment,
    setting: &'static str,
    secs_default: u32,
) -> Result<Duration, SettingError> {
    let secs = environment.number(setting, 0..=WAIT_SECS_MAX, secs_default)?;
    Ok(Duration::from_secs(u64::from(secs)))
}
