//! Store and queues with a metering proxy before each, for processes that reach them over HTTP.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use local::bundle::{Bundle, Services, Settings};
use local::client::{http_client, sdk_config};
use local::guard::Allowed;
use serde_json::Value;
use shared::clock::{Clock, SystemClock};
use shared::config::Environment;
use shared::queue::Queue;
use shared::store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::bundle::binaries;
use crate::meter::{Charge, Meter, ask_for_capacity};
use crate::queues::{QueueKind, TestQueue};
use crate::target::FunctionsFile;

/// How soon queues are checked again that were not empty.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(2);

/// The proxies end when it is dropped.
pub struct Metered {
    state: Arc<Mutex<Metering>>,
    /// Added to the time of each response, as the network on AWS would.
    latency: Duration,
    client: reqwest::Client,
    proxies: JoinSet<()>,
}

#[derive(Default)]
struct Metering {
    meter: Meter,
    charges: Vec<Charge>,
}

#[derive(Clone)]
struct Proxy {
    state: Arc<Mutex<Metering>>,
    latency: Duration,
    client: reqwest::Client,
    endpoint: Arc<str>,
}

impl Metered {
    #[must_use]
    pub fn new(latency: Duration) -> Self {
        Self {
            state: Arc::default(),
            latency,
            client: http_client(),
            proxies: JoinSet::new(),
        }
    }

    /// Starts a proxy before an endpoint, and returns the proxy's URL.
    pub async fn before(&mut self, endpoint: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let proxy = Proxy {
            state: Arc::clone(&self.state),
            latency: self.latency,
            client: self.client.clone(),
            endpoint: endpoint.into(),
        };
        let router = Router::new()
            .fallback(pass)
            .layer(DefaultBodyLimit::disable())
            .with_state(proxy);
        let serving = async move { axum::serve(listener, router).await.unwrap() };
        self.proxies.spawn(serving);
        url
    }

    /// The charges since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Charge> {
        std::mem::take(&mut self.state.lock().unwrap().charges)
    }
}

async fn pass(State(proxy): State<Proxy>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok());
    let target = target.unwrap_or_default().to_owned();
    let mut asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    // The local store checks no signature, so the signed body may change.
    let body = if target.starts_with("DynamoDB") {
        ask_for_capacity(&mut asked);
        asked.to_string().into()
    } else {
        body
    };
    let mut headers = headers;
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::HOST);
    let request = proxy.client.post(&*proxy.endpoint).headers(headers);
    let Ok(answer) = request.body(body).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, headers) = (answer.status(), answer.headers().clone());
    let Ok(body) = answer.bytes().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    {
        let answer = serde_json::from_slice(&body).unwrap_or_default();
        let metering = &mut *proxy.state.lock().unwrap();
        let charge = metering
            .meter
            .charge(&target, &asked, status.as_u16(), &answer);
        metering.charges.extend(charge);
    }
    tokio::time::sleep(proxy.latency).await;
    (status, headers, body).into_response()
}

/// A bundle of released functions whose every request to store and queues is metered, for
/// benchmarks.
pub struct MeteredBundle {
    pub metered: Metered,
    pub bundle: Bundle,
    /// Calls the bundle as `local:anonymous`.
    pub caller: Caller,
    services: MeteredServices,
}

/// The store and the queues of a bundle. They may be filled before the bundle starts.
pub struct MeteredServices {
    /// The store, not metered.
    pub store: Store,
    /// The dispatch queue, not metered.
    pub dispatch: Queue,
    queues: aws_sdk_sqs::Client,
    found: Environment,
    _services: Services,
}

impl MeteredServices {
    /// Starts an empty store and empty queues.
    pub async fn start() -> Self {
        Self::by(Arc::new(SystemClock)).await
    }

    /// As [`MeteredServices::start`], by this clock. The functions have the system's.
    pub async fn by(clock: Arc<dyn Clock>) -> Self {
        let services = Services::start(clock).await.unwrap();
        let found = Environment::from_iter(services.environment.clone());
        let dynamodb = sdk_config(found.required("AWS_ENDPOINT_URL_DYNAMODB").unwrap());
        let sqs = sdk_config(found.required("AWS_ENDPOINT_URL_SQS").unwrap());
        let table = found.required("TABLE_NAME").unwrap().to_owned();
        let queues = aws_sdk_sqs::Client::new(&sqs);
        let dispatch = found.required("DISPATCH_QUEUE_URL").unwrap().to_owned();
        Self {
            store: Store::new(aws_sdk_dynamodb::Client::new(&dynamodb), table),
            dispatch: Queue::new(queues.clone(), dispatch),
            queues,
            found,
            _services: services,
        }
    }

    /// Starts a bundle on them: at most `instances` processes of each function, and
    /// `worker_batch_size` messages in a batch for the worker.
    pub async fn bundle(
        self,
        metered: Metered,
        instances: usize,
        worker_batch_size: i32,
    ) -> MeteredBundle {
        self.bundle_with(None, metered, instances, worker_batch_size)
            .await
    }

    /// As [`MeteredServices::bundle`], with the functions of a file.
    pub async fn bundle_with(
        self,
        functions_file: Option<&FunctionsFile>,
        mut metered: Metered,
        instances: usize,
        worker_batch_size: i32,
    ) -> MeteredBundle {
        let endpoint = |name| self.found.required(name).unwrap();
        let dynamodb = metered.before(endpoint("AWS_ENDPOINT_URL_DYNAMODB")).await;
        let sqs = metered.before(endpoint("AWS_ENDPOINT_URL_SQS")).await;
        let variables = [
            // As in the template.
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("SERVICE_NAME", "ferry"),
            // For a receiver on this machine.
            ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
        ];
        let bundle = Bundle::start(Settings {
            port: 0,
            console_port: None,
            instances,
            http_instances: instances,
            require_token: false,
            allowed: Allowed::default(),
            worker_batch_size,
            dynamodb: Some(dynamodb),
            sqs: Some(sqs),
            lambda: None,
            functions_directory: binaries(),
            functions_file: functions_file.map(|file| file.path().into()),
            environment: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            clock: Arc::new(SystemClock),
        })
        .await
        .unwrap();
        bundle.ready().await.unwrap();
        MeteredBundle {
            caller: Caller {
                url: bundle.url().to_owned(),
                client: http_client(),
            },
            metered,
            bundle,
            services: self,
        }
    }
}

impl MeteredBundle {
    /// The store and the queues, not metered.
    #[must_use]
    pub const fn services(&self) -> &MeteredServices {
        &self.services
    }

    /// Waits until every queue is empty.
    pub async fn drain(&self) {
        for kind in QueueKind::ALL {
            let url = self.services.found.required(kind.setting()).unwrap();
            let queue = TestQueue::new(self.services.queues.clone(), url.to_owned());
            while !queue.is_empty().await {
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
        }
    }
}

/// A caller of a bundle that checks only the status of responses.
pub struct Caller {
    url: String,
    client: reqwest::Client,
}

impl Caller {
    /// Submits, and returns the operation's id.
    pub async fn submit(&self, body: &Value) -> String {
        let request = self.client.post(format!("{}/operations", self.url));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let operation = answered(request.body(body.to_string()), StatusCode::ACCEPTED).await;
        operation["id"].as_str().unwrap().to_owned()
    }

    pub async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.url));
        answered(request, StatusCode::OK).await
    }

    pub async fn cancel(&self, id: &str) {
        let request = self
            .client
            .post(format!("{}/operations/{id}/cancel", self.url));
        answered(request, StatusCode::OK).await;
    }
}

async fn answered(request: reqwest::RequestBuilder, status: StatusCode) -> Value {
    let answer = request.send().await.unwrap();
    let (answered, body) = (answer.status(), answer.bytes().await.unwrap());
    assert_eq!(answered, status, "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}
