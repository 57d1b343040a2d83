//! Accepts operations: `POST /operations`.
//!
//! The order of the calls is what makes a crash harmless: first the dispatch message, then the record. A crash in between
//! leaves a message without a record, which the worker drops in time; it never leaves a record without a message, which
//! nobody would ever work on.

mod accept;
mod submission;

use std::sync::Arc;

use shared::aws::Aws;
use shared::catalogue::Catalogue;
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::limits::BODY_BYTES_MAX;
use shared::domain::network::AllowedNetworks;
use shared::http::{Answer, Event, GatewayResponse, Problem, Request, RequestSettings, show};
use shared::queue::Queue;
use shared::random::Random;
use shared::store::Store;

use crate::accept::Accepted;
use crate::submission::Submission;

/// The function. One for a process.
pub struct Submit {
    store: Store,
    dispatch: Queue,
    catalogue: Catalogue,
    allowed_networks: AllowedNetworks,
    requests: RequestSettings,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Submit {
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
        Ok(Self {
            store: Store::new(
                aws.dynamodb(),
                environment.required("TABLE_NAME")?.to_owned(),
            ),
            dispatch: Queue::new(
                aws.sqs(),
                environment.required("DISPATCH_QUEUE_URL")?.to_owned(),
            ),
            catalogue: Catalogue::new(environment.switch("DEMO_FUNCTIONS")?),
            allowed_networks: environment.allowed_networks()?,
            requests: RequestSettings::new(environment),
            clock,
            random,
        })
    }

    /// Serves one request.
    pub async fn handle(&self, event: Event) -> GatewayResponse {
        let request = Request::new(event, &self.requests);
        let answer = match self.answer(&request).await {
            Ok(answer) => answer,
            Err(problem) => Answer::problem(&problem, &request.id),
        };
        answer.into_response(&request.id)
    }

    async fn answer(&self, request: &Request) -> Result<Answer, Problem> {
        let owner = request.owner()?;
        let body = request.json_body(BODY_BYTES_MAX)?;
        let key = request.header("idempotency-key");
        let submission = Submission::read(body, key, self.catalogue, &self.allowed_networks)?;

        let accepted = self.accept(owner, &submission).await?;

        let (operation, replayed) = match &accepted {
            Accepted::New(operation) => (operation, false),
            Accepted::Replayed(operation) => (operation, true),
            Accepted::Conflict => return Err(accept::conflict()),
        };
        let status = if operation.status().is_terminal() {
            200
        } else {
            202
        };
        let answer = show(&self.store, operation, status, self.clock.now())
            .await?
            .with(
                "location",
                format!("{}/operations/{}", request.base_url, operation.id),
            );
        Ok(if replayed {
            answer.with("idempotent-replayed", "true")
        } else {
            answer
        })
    }
}
