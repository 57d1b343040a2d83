//! The bundle that all stories share, and a caller of it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use local::bundle::{Bundle, FUNCTIONS, Settings};
use local::client::http_client;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use shared::clock::SystemClock;
use tests::receiver::SECRET;
use tokio::sync::oneshot;

/// How long a test waits for what has to come. It is only ever waited out by a test that fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a test looks whether it has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The bundle, for as long as a test uses it: nothing else would stop its processes when the tests are over.
static SHARED: Mutex<Weak<Running>> = Mutex::new(Weak::new());

/// A bundle on a thread of its own.
struct Running {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// The one that other tests use already, or a new one.
    fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap();
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let running = Arc::new(Self::start());
        *shared = Arc::downgrade(&running);
        running
    }

    fn start() -> Self {
        let (ready, url) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let bundle = Bundle::start(settings()).await.unwrap();
                bundle.ready().await.unwrap();
                ready.send(bundle.url().to_owned()).unwrap();
                // Told by being dropped.
                let _ = stopped.await;
                bundle.stop().await;
            });
        });
        Self {
            url: url.recv().expect("the bundle started"),
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has been told.
            let _ = thread.join();
        }
    }
}

fn settings() -> Settings {
    let environment = [
        ("AWS_LAMBDA_LOG_LEVEL", "WARN"),
        ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
        // The shortest: what a crash leaves behind is waited for.
        ("LEASE_SECONDS", "5"),
        ("WEBHOOK_SECRETS", SECRET),
    ];
    Settings {
        port: 0,
        instances: 4,
        worker_batch_size: 1,
        dynamodb: None,
        sqs: None,
        lambda: None,
        functions_directory: binaries(),
        environment: environment
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        clock: Arc::new(SystemClock),
    }
}

/// Where cargo puts the workspace's binaries.
pub(crate) fn binaries() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let directory = test
        .ancestors()
        .nth(2)
        .expect("tests lie in target/PROFILE/deps");
    for name in FUNCTIONS.map(|function| function.name) {
        let binary = directory
            .join(name)
            .with_extension(std::env::consts::EXE_EXTENSION);
        assert!(
            binary.exists(),
            "{} is missing; `cargo build --workspace` builds it, as does `cargo test --workspace`",
            binary.display()
        );
    }
    directory.to_owned()
}

/// A caller. Each test is one of its own, so that none sees another's operations.
pub(crate) struct Api {
    bundle: Arc<Running>,
    client: reqwest::Client,
    owner: String,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Api {
    pub(crate) fn of(owner: &str) -> Self {
        Self {
            bundle: Running::shared(),
            client: http_client(),
            owner: format!("Bearer {owner}"),
        }
    }

    /// Sends a request, with a body of JSON unless it is empty or the headers say otherwise.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<String>,
    ) -> Answer {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.bundle.url))
            .header("authorization", &self.owner);
        let body = body.into();
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body).send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.send(Method::POST, path, &[], "").await
    }

    /// Submits, with the headers besides.
    pub(crate) async fn submit_with(&self, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.send(Method::POST, "/operations", headers, body.to_string())
            .await
    }

    /// Submits, and expects to be accepted.
    pub(crate) async fn submit(&self, body: &Value) -> Answer {
        let answer = self.submit_with(&[], body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer
    }

    /// The id of an operation that runs until it is told to stop.
    pub(crate) async fn submit_endless(&self) -> String {
        let endless = json!({"function": "demo.countdown", "arguments": {"steps": 10_000, "step_ms": 60_000}});
        self.submit(&endless).await.id()
    }

    /// The operation once it is `status`.
    pub(crate) async fn reaches(&self, id: &str, status: &str) -> Answer {
        let what = format!("{id} {status}");
        until(&what, async || {
            let answer = self.get(&format!("/operations/{id}")).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let ended = !answer.headers.contains_key("retry-after");
            let reached = answer.json()["status"] == status;
            assert!(reached || !ended, "{what}: {}", answer.text);
            reached.then_some(answer)
        })
        .await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .unwrap_or_else(|| panic!("no {name}"))
            .to_str()
            .unwrap()
    }

    pub(crate) fn id(&self) -> String {
        self.json()["id"].as_str().unwrap().to_owned()
    }

    /// Expects an error of this status and code, in its form.
    pub(crate) fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["type"], format!("urn:ferry:problem:{code}"));
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("request-id"));
        problem
    }
}

/// Waits for something that has to happen, by looking for it.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        let mut pace = tokio::time::interval(LOOK_INTERVAL);
        loop {
            pace.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    };
    soon(what, looking).await
}

/// Waits for something that has to happen.
pub(crate) async fn soon<T>(what: &str, happening: impl Future<Output = T>) -> T {
    let Ok(happened) = tokio::time::timeout(PATIENCE, happening).await else {
        panic!("{what} did not happen within {} s", PATIENCE.as_secs());
    };
    happened
}
