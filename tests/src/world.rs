//! The whole system in one process, with a manual clock. The handlers run as futures, not as Lambda
//! processes.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use local::bundle::Services;
use local::client::sdk_config;
use local::gateway::{find_route, gateway_routes};
use serde_json::{Value, json};
use shared::aws::Aws;
use shared::clock::{Clock, ManualClock};
use shared::config::{Environment, SettingError};
use shared::domain::time::Timestamp;
use shared::http::HttpFunction;
use shared::random::SeededRandom;
use shared::store::Store;
use shared::store::table::TABLE_KEYS;

use crate::logs::log_warnings;
use crate::openapi::Exchange;
use crate::permissions::Permissions;
use crate::queues::{QueueKind, TestQueue};
use crate::receiver::SECRET;
use crate::watched_clock::WatchedClock;
use crate::wire::Wire;

/// The longest that [`World::drain`] lets pass before it fails: more than every message age,
/// backoff and schedule.
const DRAIN_MAX: Duration = Duration::from_secs(30 * 86_400);

pub struct World {
    /// The clock of all handlers, the store and the queues.
    pub clock: ManualClock,
    /// The connection over which all handlers send their requests.
    pub wire: Wire,
    /// The settings of all functions.
    pub environment: Environment,
    /// The store, through a client that the wire does not count.
    pub store: Store,
    /// DynamoDB, through a client that the wire does not count.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The permissions that the functions have, and those that they have used.
    pub permissions: Permissions,
    random: Arc<SeededRandom>,
    /// Reports when a caller waits for an operation's end.
    pub callers_clock: Arc<WatchedClock>,
    submit: submit::Handler,
    status: status::Handler,
    worker: Arc<worker::Handler>,
    callback: callback::Handler,
    sqs: aws_sdk_sqs::Client,
    services: Services,
}

/// An HTTP response.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// With names in lower case.
    pub headers: Value,
    /// The body; null when it is not JSON.
    pub json: Value,
    /// The body as text.
    pub text: String,
}

impl Response {
    /// Reads a function's response as the gateway does.
    #[must_use]
    pub fn of(response: &Value) -> Self {
        let text = response["body"].as_str().unwrap().to_owned();
        Self {
            status: u16::try_from(response["statusCode"].as_u64().unwrap()).unwrap(),
            headers: response["headers"].clone(),
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }
}

impl World {
    /// A new world at a fixed time.
    pub async fn start() -> Self {
        Self::with([]).await
    }

    /// A new world with these settings on top of the defaults.
    pub async fn with<const N: usize>(settings: [(&str, &str); N]) -> Self {
        log_warnings();
        let clock = ManualClock::new(Timestamp::from_secs(1_800_000_000));
        let services = Services::start(Arc::new(clock.clone())).await.unwrap();
        let environment = Environment::from_iter(services.environment.clone())
            .with([
                ("WEBHOOK_SECRETS", SECRET),
                ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
            ])
            .with(settings);
        let wire = Wire::default();
        let permissions = Permissions::new(&environment);
        let aws = |function| aws(&environment, permissions.of(function, wire.connector()));
        let random = Arc::new(SeededRandom::new(7));
        let shared_clock = || Arc::new(clock.clone());
        let callers_clock = Arc::new(WatchedClock::new(clock.clone()));
        let endpoint = |name| sdk_config(environment.required(name).unwrap());
        let dynamodb = aws_sdk_dynamodb::Client::new(&endpoint("AWS_ENDPOINT_URL_DYNAMODB"));
        let sqs = aws_sdk_sqs::Client::new(&endpoint("AWS_ENDPOINT_URL_SQS"));
        let table = environment.required("TABLE_NAME").unwrap().to_owned();
        Self {
            submit: submit::Handler::new(
                &environment,
                &aws("Submit"),
                callers_clock.clone(),
                random.clone(),
            )
            .unwrap(),
            status: status::Handler::new(
                &environment,
                &aws("Status"),
                callers_clock.clone(),
                random.clone(),
            )
            .unwrap(),
            callers_clock,
            worker: Arc::new(
                worker::Handler::new(&environment, &aws("Worker"), shared_clock(), random.clone())
                    .unwrap(),
            ),
            callback: callback::Handler::new(
                &environment,
                &aws("Callback"),
                shared_clock(),
                random.clone(),
            )
            .await
            .unwrap(),
            store: Store::new(dynamodb.clone(), table),
            clock,
            wire,
            environment,
            dynamodb,
            permissions,
            random,
            sqs,
            services,
        }
    }

    /// A second worker, like a second process.
    #[must_use]
    pub fn another_worker(&self) -> Arc<worker::Handler> {
        Arc::new(self.worker_by(Arc::new(self.clock.clone())))
    }

    /// A second worker, with a different clock.
    #[must_use]
    pub fn worker_by(&self, clock: Arc<dyn Clock>) -> worker::Handler {
        let connector = self.permissions.of("Worker", self.wire.connector());
        let aws = aws(&self.environment, connector);
        worker::Handler::new(&self.environment, &aws, clock, self.random.clone()).unwrap()
    }

    /// A second callback function, like a new process.
    ///
    /// # Errors
    ///
    /// When it cannot start.
    pub async fn another_callback(&self) -> Result<callback::Handler, SettingError> {
        let clock = Arc::new(self.clock.clone());
        let connector = self.permissions.of("Callback", self.wire.connector());
        let aws = aws(&self.environment, connector);
        callback::Handler::new(&self.environment, &aws, clock, self.random.clone()).await
    }

    #[must_use]
    pub fn queue(&self, kind: QueueKind) -> TestQueue {
        TestQueue::new(
            self.sqs.clone(),
            self.environment
                .required(kind.setting())
                .unwrap()
                .to_owned(),
        )
    }

    /// When the first message of a queue becomes visible; `None` when the queue is empty.
    #[must_use]
    pub fn next_message_at(&self, kind: QueueKind) -> Option<Timestamp> {
        let url = self.environment.required(kind.setting()).unwrap();
        self.services.next_message_at(url.rsplit('/').next()?)
    }

    /// Submits as `alice`, and expects to be accepted.
    pub async fn submit(&self, body: Value) -> Response {
        let answer = self
            .request("POST", "/operations", &[], &body.to_string())
            .await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer
    }

    /// Reads an operation as `alice`.
    pub async fn show(&self, id: &str) -> Value {
        let answer = self
            .request("GET", &format!("/operations/{id}"), &[], "")
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json
    }

    /// Deletes one of an operation's items, by its sort key and without any condition.
    pub async fn delete_item(&self, id: &str, sk: &str) {
        let table = self.environment.required("TABLE_NAME").unwrap();
        let [pk_name, sk_name] = TABLE_KEYS;
        let delete = self.dynamodb.delete_item().table_name(table);
        let delete = delete
            .key(pk_name, AttributeValue::S(id.to_owned()))
            .key(sk_name, AttributeValue::S(sk.to_owned()));
        delete.send().await.unwrap();
    }

    /// Sends a request as `alice`.
    pub async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        self.request_of("alice", method, path, headers, body.as_bytes())
            .await
    }

    /// Sends a request as this owner.
    pub async fn request_of(
        &self,
        owner: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.answer(event(owner, method, path, headers, body)).await
    }

    /// Handles an HTTP API's event, and checks the exchange against `OpenAPI`.
    pub async fn answer(&self, event: Value) -> Response {
        let exchange = Exchange::of_event(&event);
        let route = event["routeKey"].as_str().unwrap();
        let route = gateway_routes().iter().find(|known| known.key == route);
        // A request without a route, which the gateway refuses, shows what `status` answers to it.
        let function = route.map_or(HttpFunction::Status, |route| route.function);
        let event = serde_json::from_value(event).unwrap();
        let response = match function {
            HttpFunction::Submit => self.submit.handle(event).await,
            HttpFunction::Status => self.status.handle(event).await,
        };
        let response = serde_json::to_value(response).unwrap();
        exchange.with_response(&response).is_documented();
        Response::of(&response)
    }

    /// Advances the clock while a caller waits for an operation's end. Once `work_after` has
    /// passed, the first message of the dispatch queue is handled.
    pub async fn while_waiting<T>(
        &self,
        work_after: Option<Duration>,
        answer: impl Future<Output = T>,
    ) -> T {
        // Less than the time between any two reads of a wait.
        const STEP: Duration = Duration::from_millis(50);
        let mut answer = Box::pin(answer);
        let mut passed = Duration::ZERO;
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer,
                () = self.callers_clock.asleep() => {}
            }
            if work_after == Some(passed) {
                assert!(self.pump(QueueKind::Dispatch).await);
            }
            self.clock.advance(STEP);
            passed += STEP;
        }
    }

    /// Receives and handles one message of a queue; whether there was one.
    pub async fn pump(&self, kind: QueueKind) -> bool {
        self.pump_by(&self.worker, kind, 1).await
    }

    /// Receives and handles up to `most` messages of a queue in one batch. A message of the
    /// worker's queues is handled by `worker`.
    pub async fn pump_by(&self, worker: &worker::Handler, kind: QueueKind, most: i32) -> bool {
        let queue = self.queue(kind);
        let messages = queue.receive(most).await;
        if messages.is_empty() {
            return false;
        }
        for message in &messages {
            let handle = message.receipt_handle().unwrap();
            self.wire.received(handle, message.body().unwrap());
        }
        let answer = self.serve(worker, kind, queue.event(&messages)).await;
        queue.delete_acknowledged(&messages, &answer).await;
        true
    }

    /// Passes an event to the function that the queue feeds, and returns the response.
    pub async fn serve(&self, worker: &worker::Handler, kind: QueueKind, event: Value) -> Value {
        let event = serde_json::from_value(event).unwrap();
        let response = match kind {
            QueueKind::Dispatch | QueueKind::DispatchDeadLetter => {
                let deadline = self.clock.now() + Duration::from_secs(900);
                worker.handle(event, deadline).await.unwrap()
            }
            QueueKind::Callback | QueueKind::CallbackDeadLetter => {
                self.callback.handle(event).await.unwrap()
            }
        };
        serde_json::to_value(response).unwrap()
    }

    /// Handles messages until none is visible.
    pub async fn pump_all(&self) {
        loop {
            let mut handled = false;
            for kind in QueueKind::ALL {
                handled |= self.pump(kind).await;
            }
            if !handled {
                return;
            }
        }
    }

    /// Handles messages and lets time pass until every queue is empty; returns how long that took.
    pub async fn drain(&self) -> Duration {
        self.drain_in_steps(Duration::from_secs(300)).await
    }

    /// As [`World::drain`], with steps of at most `step_max`.
    pub async fn drain_in_steps(&self, step_max: Duration) -> Duration {
        let start = self.clock.now();
        let mut step = Duration::from_secs(1);
        loop {
            self.pump_all().await;
            let mut messages = 0;
            for kind in QueueKind::ALL {
                messages += self.queue(kind).len().await;
            }
            let took = self.clock.now().since(start);
            if messages == 0 {
                return took;
            }
            assert!(
                took < DRAIN_MAX,
                "{messages} messages are left in the queues"
            );
            self.clock.advance(step);
            step = (step * 2).min(step_max);
        }
    }
}

fn aws(environment: &Environment, connector: SharedHttpConnector) -> Aws {
    let aws = Aws::new(environment, connector).unwrap();
    aws.retrying_at_once()
}

/// An HTTP API's event, with the route that the gateway would find.
#[must_use]
pub fn event(
    owner: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Value {
    let (raw_path, query) = path.split_once('?').unwrap_or((path, ""));
    let (route_key, parameters) = match find_route(method, raw_path) {
        Some(matched) => (matched.route.key.clone(), json!(matched.parameters)),
        None => (format!("ANY {raw_path}"), json!({})),
    };
    let mut all_headers = json!({ "content-type": "application/json" });
    for (name, value) in headers {
        all_headers[*name] = json!(value);
    }
    let (text, base64) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (STANDARD.encode(body), true),
    };
    json!({
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": raw_path,
        "rawQueryString": query,
        "headers": all_headers,
        "pathParameters": parameters,
        "requestContext": {
            "authorizer": { "lambda": { "local_owner": owner } },
            "domainName": "ferry.example.com",
            "http": { "method": method, "path": raw_path },
            "requestId": "request-1",
            "stage": "$default",
        },
        "body": text,
        "isBase64Encoded": base64,
    })
}
