//! Targets of registered functions: a server of Lambda's Invoke API whose functions are closures,
//! and the functions file that names them.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What a target does with an attempt.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Returns this text.
    Returned(String),
    /// Raises an error: the text that Lambda returns for it.
    Raised(Value),
    /// Returns this text once [`Targets::release`] lets it.
    Later(String),
    /// Replies so after a time.
    After(Duration, Box<Reply>),
    /// Lambda's response to an invocation that it refuses: a status and the code of an error.
    Refused(u16, String),
    /// Sends half of a response and closes the connection.
    Cut,
}

type Work = dyn Fn(&Value) -> Reply + Send + Sync;

struct Shared {
    work: Box<Work>,
    bodies: Mutex<Vec<String>>,
    replies: AtomicUsize,
    releases: Semaphore,
}

/// A server of the Invoke API. It stops when it is dropped.
pub struct Targets {
    pub url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

impl Targets {
    /// Serves every function by `work`, which gets the document of the attempt.
    pub async fn start(work: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            work: Box::new(work),
            bodies: Mutex::default(),
            replies: AtomicUsize::new(0),
            releases: Semaphore::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(invoke)
            .with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            shared,
            _server: server,
        }
    }

    /// The documents that arrived so far, as they were sent.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        self.shared.bodies.lock().unwrap().clone()
    }

    #[must_use]
    pub fn documents(&self) -> Vec<Value> {
        let bodies = self.bodies();
        bodies
            .iter()
            .map(|body| serde_json::from_str(body).unwrap())
            .collect()
    }

    /// The requests whose worker closed the connection before the reply.
    #[must_use]
    pub fn abandoned(&self) -> usize {
        self.bodies().len() - self.shared.replies.load(Ordering::Relaxed)
    }

    /// Lets one attempt return that waits, or the next one.
    pub fn release(&self) {
        self.shared.releases.add_permits(1);
    }
}

async fn invoke(State(shared): State<Arc<Shared>>, uri: Uri, body: Bytes) -> Response {
    assert!(uri.path().ends_with("/invocations"), "{uri}");
    let body = String::from_utf8(body.to_vec()).unwrap();
    let document: Value = serde_json::from_str(&body).unwrap();
    let mut reply = (shared.work)(&document["data"]);
    shared.bodies.lock().unwrap().push(body);
    // Dropped while it waits if the worker closes the connection.
    let response = loop {
        reply = match reply {
            Reply::Returned(text) => break text.into_response(),
            Reply::Raised(error) => {
                let is_error = [("x-amz-function-error", "Unhandled")];
                break (is_error, error.to_string()).into_response();
            }
            Reply::Refused(status, code) => {
                let status = StatusCode::from_u16(status).unwrap();
                break (status, [("x-amzn-errortype", code)], "{}").into_response();
            }
            Reply::Cut => break cut(),
            Reply::Later(text) => {
                shared.releases.acquire().await.unwrap().forget();
                Reply::Returned(text)
            }
            Reply::After(time, reply) => {
                tokio::time::sleep(time).await;
                *reply
            }
        }
    };
    shared.replies.fetch_add(1, Ordering::Relaxed);
    response
}

/// A body that fails closes the connection.
fn cut() -> Response {
    let parts = [Ok("{\"half\":"), Err(io::ErrorKind::ConnectionReset)];
    Body::from_stream(futures_util::stream::iter(
        parts.map(|part| part.map_err(io::Error::from)),
    ))
    .into_response()
}

/// A functions file in the system's directory for temporary files, which is removed when this is
/// dropped.
pub struct FunctionsFile(PathBuf);

impl FunctionsFile {
    /// Registers these functions.
    #[must_use]
    pub fn new(functions: &[Value]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ferry-functions-{}-{number}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        let file = json!({"format": 1, "functions": functions});
        std::fs::write(&path, file.to_string()).unwrap();
        Self(path)
    }

    #[must_use]
    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for FunctionsFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// An entry of a functions file: `image.resize` 1.2.0, whose arguments have a `key`.
#[must_use]
pub fn resize() -> Value {
    json!({
        "name": "image.resize",
        "version": "1.2.0",
        "description": "Resizes an image in a bucket.",
        "arguments_schema": {
            "type": "object",
            "properties": {
                "key": {"type": "string", "minLength": 1},
                "width": {"type": "integer", "minimum": 1, "maximum": 8192},
            },
            "required": ["key"],
            "additionalProperties": false,
        },
        "result_schema": {"type": "object"},
        "retry": {"first_seconds": 2, "longest_seconds": 4},
        "target": {"lambda": {"function": "image-resize:live", "permanent_errors": ["ValueError"]}},
    })
}
