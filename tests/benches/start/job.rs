//! The job of each function in the benchmark: its undisturbed path, with a record of at most a
//! kilobyte, on a separate store and queues.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use local::bundle::Services;
use local::client::sdk_config;
use local::guard::Allowed;
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::config::Environment;
use shared::domain::callback::{Callback, CallbackEvent};
use shared::domain::id::{ClaimId, CreateId, OperationId};
use shared::domain::json::Json;
use shared::domain::operation::Operation;
use shared::queue::{Dispatch, Message, WakeUp};
use shared::random::{Random, SystemRandom};
use shared::store::{ClaimOutcome, Draft, Store};
use tests::queues::{QueueKind, TestQueue};
use tests::samples::pending_operation;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::kind::Kind;
use crate::process::Process;
use crate::tls::Authority;

/// The job of one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    /// A submit with a small argument: a message and a record.
    Submit,
    /// A poll: a read.
    Status,
    /// A dispatch message: a visibility change, a claim, `demo.echo` and its outcome.
    Worker,
    /// A wake-up: a read, a POST and a record.
    Callback,
}

pub(crate) const JOBS: [Job; 4] = [Job::Submit, Job::Status, Job::Worker, Job::Callback];

impl Job {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Status => "status",
            Self::Worker => "worker",
            Self::Callback => "callback",
        }
    }
}

/// The services that the functions use, and their data.
pub(crate) struct Stage {
    environment: Environment,
    variables: Vec<(String, String)>,
    store: Store,
    sqs: aws_sdk_sqs::Client,
    receiver: String,
    /// The operation that `status` polls.
    polled: Operation,
    _services: Services,
    _authority: Authority,
    _receiver: JoinSet<()>,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        // The TLS proxy has another port than the endpoint.
        let allowed = Allowed {
            hosts: vec!["localhost".to_owned()],
            ..Allowed::default()
        };
        let services = Services::start_allowing(allowed, Arc::new(SystemClock));
        let services = services.await.unwrap();
        let mut authority = Authority::new(Path::new(env!("CARGO_TARGET_TMPDIR")));
        let environment = Environment::from_iter(services.environment.clone());
        let mut variables = services.environment.clone();
        for name in ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_SQS"] {
            let proxy = authority.proxy(environment.required(name).unwrap()).await;
            variables.retain(|(own, _)| own != name);
            variables.push((name.to_owned(), proxy));
        }
        let authority_file = authority.file.display().to_string();
        let more = [
            ("AWS_CA_BUNDLE", authority_file.as_str()),
            // The values that the template sets.
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_LAMBDA_LOG_LEVEL", "INFO"),
            ("SERVICE_NAME", "ferry"),
            ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
            // A tool call is answered at once, as a submit is.
            ("MCP_WAIT_SECONDS", "0"),
        ];
        let more = more.map(|(name, value)| (name.to_owned(), value.to_owned()));
        variables.extend(more);
        let endpoint = |name| sdk_config(environment.required(name).unwrap());
        let dynamodb = aws_sdk_dynamodb::Client::new(&endpoint("AWS_ENDPOINT_URL_DYNAMODB"));
        let sqs = aws_sdk_sqs::Client::new(&endpoint("AWS_ENDPOINT_URL_SQS"));
        let table = environment.required("TABLE_NAME").unwrap().to_owned();
        let store = Store::new(dynamodb, table);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = format!("http://{}/hook", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move {
            let receiver = Router::new().fallback(async || "");
            axum::serve(listener, receiver).await.unwrap();
        });
        let polled = operation(None);
        store
            .create(&Draft::new(&polled), SystemClock.now())
            .await
            .unwrap();
        Self {
            environment,
            variables,
            store,
            sqs,
            receiver,
            polled,
            _services: services,
            _authority: authority,
            _receiver: server,
        }
    }

    /// The environment variables of every process.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        self.variables.clone()
    }

    /// Runs a job once in a process. Preparation and cleanup are not measured.
    pub(crate) async fn measure(&self, job: Job, kind: Kind, process: &mut Process) {
        match job {
            Job::Submit => {
                let (event, status) = submit(kind);
                let response = process.invoke(event).await;
                assert_answered(&response, status);
                self.queue(QueueKind::Dispatch).purge().await;
            }
            Job::Status => {
                let mut event = sample("status/get");
                event["pathParameters"]["id"] = json!(self.polled.id.as_str());
                let claims = &mut event["requestContext"]["authorizer"];
                *claims = json!({"lambda": {"local_owner": "alice"}});
                let response = process.invoke(event).await;
                assert_answered(&response, 200);
            }
            Job::Worker => {
                let operation = operation(None);
                self.create(&operation).await;
                let message = Dispatch::of(&operation);
                self.serve(QueueKind::Dispatch, &message, process).await;
            }
            Job::Callback => {
                let operation = operation(Some(&self.receiver));
                self.create(&operation).await;
                self.complete(&operation).await;
                let message = WakeUp::of(&operation);
                self.serve(QueueKind::Callback, &message, process).await;
            }
        }
    }

    async fn serve(&self, kind: QueueKind, message: &impl Message, process: &mut Process) {
        let queue = self.queue(kind);
        queue.send(&message.to_body()).await;
        let messages = queue.receive(1).await;
        let response = process.invoke(queue.event(&messages)).await;
        // The response of `hello` counts as success, too.
        let failed = response.get("batchItemFailures");
        assert!(
            failed.is_none_or(|failed| failed == &json!([])),
            "{response}"
        );
        queue
            .delete_acknowledged(&messages, &json!({"batchItemFailures": []}))
            .await;
    }

    fn queue(&self, kind: QueueKind) -> TestQueue {
        let url = self.environment.required(kind.setting()).unwrap();
        TestQueue::new(self.sqs.clone(), url.to_owned())
    }

    async fn create(&self, operation: &Operation) {
        let draft = Draft::new(operation);
        self.store.create(&draft, SystemClock.now()).await.unwrap();
    }

    async fn complete(&self, operation: &Operation) {
        let now = SystemClock.now();
        let claim_id = ClaimId::from_bytes(random());
        let lease = Duration::from_secs(60);
        let claimed = self
            .store
            .claim(&operation.id, &operation.create_id, claim_id, lease, now);
        let ClaimOutcome::Held(held) = claimed.await.unwrap() else {
            panic!("the operation is claimed already");
        };
        let result = r#"{"a":1}"#.parse::<Json>().unwrap();
        self.store.complete(&held, &result, now).await.unwrap();
    }
}

/// The event of a submit that is answered at once, and the status of its response.
fn submit(kind: Kind) -> (Value, u16) {
    let arguments = json!({"name": "Riga", "people": 600_000});
    let (file, body, status) = match kind {
        Kind::Forrst => {
            let asynchronous = json!({
                "urn": "urn:cline:forrst:ext:async", "options": {"preferred": true},
            });
            let body = json!({
                "protocol": {"name": "forrst", "version": "0.1.0"},
                "id": "req_1",
                "call": {"function": "demo.echo", "arguments": arguments},
                "extensions": [asynchronous],
            });
            ("submit/forrst_async", body, 200)
        }
        Kind::Mcp => {
            let tasks = json!({"io.modelcontextprotocol/tasks": {}});
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {"extensions": tasks},
            });
            let params = json!({"name": "demo_echo", "arguments": arguments, "_meta": meta});
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
            ("submit/mcp_wrong_arguments", body, 200)
        }
        _ => {
            let body = json!({"function": "demo.echo", "arguments": arguments});
            ("submit/accepted", body, 202)
        }
    };
    let mut event = sample(file);
    event["body"] = json!(body.to_string());
    if kind == Kind::Mcp {
        event["headers"]["mcp-name"] = json!("demo_echo");
    }
    (event, status)
}

/// Expects this status, unless the response has none, as that of `hello`.
fn assert_answered(response: &Value, status: u16) {
    let answered = response.get("statusCode");
    assert!(
        answered.is_none_or(|answered| answered == status),
        "{response}"
    );
}

fn operation(callback_url: Option<&str>) -> Operation {
    let callback =
        callback_url.map(|url| Callback::new(url.to_owned(), CallbackEvent::ALL.to_vec()));
    Operation {
        id: OperationId::from_bytes(random()),
        create_id: CreateId::from_bytes(random()),
        callback,
        ..pending_operation(SystemClock.now())
    }
}

fn random<const N: usize>() -> [u8; N] {
    let random: &dyn Random = &SystemRandom;
    random.bytes()
}

fn sample(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../events/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
