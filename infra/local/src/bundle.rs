//! The whole bundle, started and stopped as one.
//!
//! It wires what the template wires on AWS, in the same shape: one table, two queues with their dead-letter queues, four
//! functions, an HTTP API before two of them and event sources before the other two. Everything listens on the loopback
//! interface alone, behind the [guard](crate::guard), since nothing here checks who calls.

mod functions;
mod queues;
mod services;
mod store;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use shared::clock::Clock;
use shared::http::Route;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub use crate::bundle::functions::{
    DEVELOPMENT_WEBHOOK_SECRET, FUNCTIONS, FunctionShape, HTTP_INSTANCES_MAX, PASSED_ON,
};
pub use crate::bundle::queues::{CALLBACK_QUEUE, DEAD_LETTER_SUFFIX, DISPATCH_QUEUE, QueueShape};

pub use crate::bundle::services::Services;

use crate::bundle::functions::Functions;
use crate::bundle::queues::Queues;
use crate::client::http_client;
use crate::event_source::EventSource;
use crate::function::Usage;
use crate::gateway::{Gateway, INTEGRATION_TIMEOUT};
use crate::guard::Allowed;

/// The table's name.
pub const TABLE_NAME: &str = "ferry";

/// How long requests under way may take to end once their functions are gone: only a caller who is slow to send or to read
/// is still waited for.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// What to start, and what to use of others'.
#[derive(Clone)]
pub struct Settings {
    /// The gateway's port; 0 takes a free one.
    pub port: u16,
    /// The most processes of `worker` and `callback`, and the most invocations of an event source at once. At least 1.
    pub instances: usize,
    /// The most processes of `submit` and `status`, where that is more: an invocation that waits for an operation's end has
    /// its process to itself. Those past `instances` are started one by one, when the others are busy.
    pub http_instances: usize,
    /// Whether the gateway refuses requests that name no owner, as AWS does.
    pub require_token: bool,
    /// What may call besides programs and pages of this machine. The origins are for the gateway
    /// alone.
    pub allowed: Allowed,
    /// The most dispatch messages that the worker gets at once: 1 to 10.
    pub worker_batch_size: i32,
    /// The endpoint of a DynamoDB-compatible store to use instead of the embedded one. A missing table is created.
    pub dynamodb: Option<String>,
    /// The endpoint of SQS-compatible queues to use instead of the embedded ones. Missing queues are created.
    pub sqs: Option<String>,
    /// The endpoint behind which the functions can be invoked, instead of processes of their binaries.
    pub lambda: Option<String>,
    /// Where the functions' binaries are, each by its function's name.
    pub functions_directory: PathBuf,
    /// Further variables for every function. They win over the bundle's own of the same name.
    pub environment: Vec<(String, String)>,
    /// What store and queues and gateway go by. The functions' processes have the machine's own time.
    pub clock: Arc<dyn Clock>,
}

/// A running bundle. Dropping it kills the functions' processes; [`Bundle::stop`] also waits for them.
pub struct Bundle {
    url: String,
    store_url: String,
    functions: Functions,
    event_sources: Vec<EventSource>,
    shut_gateway: oneshot::Sender<()>,
    gateway: JoinSet<io::Result<()>>,
    // Store and queues, which end when this is dropped.
    _services: JoinSet<()>,
}

/// Why a bundle did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Most often: something else listens there.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port that was asked for; 0 for any.
        port: u16,
        /// What the system says.
        source: io::Error,
    },
    /// A function was not built.
    #[error("the function binary {} is missing", .0.display())]
    BinaryMissing(PathBuf),
    /// The store did not start, or refused the table.
    #[error("the store is not usable")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Processes of functions did not start: which, and why in their own words.
    #[error("{0}")]
    Functions(String),
    /// The queues did not start, or refused to be made.
    #[error("the queues are not usable")]
    Queues(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a bundle that started does not answer.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// The gateway did not answer at all.
    #[error("GET /health is not answered")]
    Unanswered(#[from] reqwest::Error),
    /// The gateway answered for a function that did not.
    #[error("GET /health is answered with {status} {body}; the log says why")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: String,
    },
}

impl Bundle {
    /// Starts everything, with a process of each function. Further ones start when they are needed.
    ///
    /// # Errors
    ///
    /// When a part cannot be started; what was started by then is ended again.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        // First, so that a second bundle on the same port ends before it has touched anything.
        let listener = listen(settings.port).await?;
        let url = format!("http://{}", address(&listener)?);
        let mut services = JoinSet::new();
        let store_endpoint = store::start(&settings, &mut services).await?;
        let queues = Queues::start(&settings, &mut services).await?;
        let functions = Functions::new(&settings, &url, &store_endpoint, &queues)?;
        functions.start().await?;
        let event_sources = queues.feed(&settings, &functions);
        let gateway = Gateway {
            submit: Arc::clone(&functions.submit),
            status: Arc::clone(&functions.status),
            require_token: settings.require_token,
            allowed: settings.allowed,
            clock: settings.clock,
            integration_timeout: INTEGRATION_TIMEOUT,
        };
        let (shut_gateway, shut) = oneshot::channel();
        let mut serving = JoinSet::new();
        serving.spawn(gateway.serve(listener, async {
            // A bundle that was dropped is shut as well.
            let _ = shut.await;
        }));
        Ok(Self {
            url,
            store_url: store_endpoint,
            functions,
            event_sources,
            shut_gateway,
            gateway: serving,
            _services: services,
        })
    }

    /// Where the API is, as `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the store is, whatever the functions were told.
    #[must_use]
    pub fn store_url(&self) -> &str {
        &self.store_url
    }

    /// The variables that the functions get: what a function that is run by somebody else has to be given.
    #[must_use]
    pub fn function_environment(&self) -> &[(String, String)] {
        &self.functions.environment
    }

    /// What the functions have used so far, by their names.
    #[must_use]
    pub fn usage(&self) -> [(&'static str, Usage); 4] {
        self.functions.usage()
    }

    /// Asks `GET /health` once, through the gateway.
    ///
    /// # Errors
    ///
    /// When the answer is not 200; why a function failed is in the log.
    pub async fn ready(&self) -> Result<(), NotReady> {
        let response = http_client()
            .get(format!("{}{}", self.url, Route::Health.path()))
            .send()
            .await?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        Err(NotReady::Refused {
            status: status.as_u16(),
            body: response.text().await?,
        })
    }

    /// Stops everything, and waits until no process is left. Requests and invocations under way are broken off, as by a
    /// crash.
    pub async fn stop(mut self) {
        for event_source in self.event_sources {
            event_source.stop().await;
        }
        // Whoever dropped the other end is gone already.
        let _ = self.shut_gateway.send(());
        self.functions.stop().await;
        let drained = tokio::time::timeout(DRAIN_MAX, self.gateway.join_next()).await;
        if drained.is_err() {
            tracing::debug!("a request was still under way");
        }
    }
}

async fn listen(port: u16) -> Result<TcpListener, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|source| StartError::Listen { port, source })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener
        .local_addr()
        .map_err(|source| StartError::Listen { port: 0, source })
}
