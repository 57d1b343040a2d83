//! Accepts operations: `POST /operations`, and `POST /forrst` with all that the protocol can do besides.
//!
//! The order of the calls is what makes a crash harmless: first the dispatch message, then the record. A crash in between
//! leaves a message without a record, which the worker drops in time; it never leaves a record without a message, which
//! nobody would ever work on.

mod accept;
pub mod forrst;
mod rest;
mod submission;
mod told;

use std::sync::Arc;
use std::time::Duration;

use shared::aws::Aws;
use shared::catalogue::Catalogue;
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::callback::SignatureVersion;
use shared::domain::limits::{FORRST_WAIT_SECS_DEFAULT, WAIT_SECS_MAX};
use shared::domain::network::AllowedNetworks;
use shared::http::{Answer, Event, GatewayResponse, Request, RequestSettings};
use shared::operations::Operations;
use shared::queue::Queue;
use shared::random::Random;
use shared::schema::Validators;
use shared::store::Store;
use shared::telemetry::request_span;
use tracing::Instrument as _;

/// The function. One for a process.
pub struct Submit {
    operations: Operations,
    store: Store,
    dispatch: Queue,
    catalogue: Catalogue,
    validators: Validators,
    allowed_networks: AllowedNetworks,
    requests: RequestSettings,
    id_salt: String,
    forrst_wait: Duration,
    /// Never empty. This function does not see the secrets, which would tell.
    signature_versions: Vec<SignatureVersion>,
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
        let store = aws.store(environment)?;
        let callbacks = aws.queue(environment, "CALLBACK_QUEUE_URL")?;
        let requests = RequestSettings::new(environment)?;
        Ok(Self {
            operations: Operations::new(
                store.clone(),
                callbacks,
                Arc::clone(&clock),
                Arc::clone(&random),
            ),
            store,
            dispatch: aws.queue(environment, "DISPATCH_QUEUE_URL")?,
            catalogue: Catalogue::new(environment.switch("DEMO_FUNCTIONS")?),
            validators: Validators::default(),
            allowed_networks: environment.allowed_networks()?,
            // By a maximum of 0 no caller waits, though the other setting has its default.
            forrst_wait: forrst_wait(environment)?.min(requests.wait_max()),
            requests,
            id_salt: environment.required("ID_SALT")?.to_owned(),
            signature_versions: environment.signature_versions()?,
            clock,
            random,
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
        if request.route == "/forrst" {
            return self.forrst(request).await;
        }
        match self.rest(request).await {
            Ok(answer) => answer,
            Err(problem) => Answer::problem(&problem, &request.id),
        }
    }
}

fn forrst_wait(environment: &Environment) -> Result<Duration, SettingError> {
    let bounds = 0..=WAIT_SECS_MAX;
    let secs = environment.number("FORRST_WAIT_SECONDS", bounds, FORRST_WAIT_SECS_DEFAULT)?;
    Ok(Duration::from_secs(u64::from(secs)))
}
