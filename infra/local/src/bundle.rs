//! The whole bundle, started and stopped as one, with the template's wiring.
//!
//! One table, two queues with their dead-letter queues, four functions, an HTTP API in front of two
//! of them and event sources for the other two; with a functions file also the targets of its
//! functions. All listeners are on the loopback interface, behind the [guard](crate::guard),
//! because none of them authenticates its callers. The console has its own,
//! stricter one.

mod console;
mod event_sources;
mod functions;
mod functions_file;
mod queues;
mod registered;
mod services;
mod store;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use shared::catalogue::worker_timeout_secs;
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::limits::WORKER_TIMEOUT_SECS_DEFAULT;
use shared::http::Route;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub use crate::bundle::console::{CALLBACK_AGE_ALARM_SECS, DISPATCH_AGE_ALARM_SECS};
pub use crate::bundle::functions::{
    DEVELOPMENT_WEBHOOK_SECRET, FUNCTIONS, FunctionShape, HTTP_INSTANCES_MAX, PASSED_ON,
};
pub use crate::bundle::functions_file::FileError;
pub use crate::bundle::registered::{Registered, Reloaded};
pub use crate::bundle::services::Services;

use crate::bundle::functions::Functions;
use crate::bundle::queues::Queues;
use crate::client::http_client;
use crate::event_source::EventSource;
use crate::function::Usage;
use crate::gateway::{Gateway, INTEGRATION_TIMEOUT, Owners};
use crate::guard::Allowed;
use crate::targets::TargetSettings;

pub const TABLE_NAME: &str = "ferry";

/// How long [`Bundle::stop`] waits for requests once the functions have ended. Only callers that
/// are slow to send or to read are left by then.
const DRAIN_MAX: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Settings {
    /// The gateway's port; 0 takes a free one.
    pub port: u16,
    /// The console's port; 0 takes a free one, and `None` serves no console.
    pub console_port: Option<u16>,
    /// The most processes of `worker` and of `callback`, and the most invocations at once of an
    /// event source. At least 1.
    pub instances: usize,
    /// The most processes of `submit` and of `status`, if greater than `instances`: an invocation
    /// that waits for an operation's end occupies its process. Processes beyond `instances` are
    /// started one by one, when the others are busy.
    pub http_instances: usize,
    /// Whether the gateway refuses requests without an owner, as AWS does.
    pub require_token: bool,
    /// Origins are for the gateway only.
    pub allowed: Allowed,
    /// The most dispatch messages in one event for the worker: 1 to 10.
    pub worker_batch_size: i32,
    /// The endpoint of a DynamoDB-compatible store to use instead of the embedded one. The table is
    /// created unless it exists.
    pub dynamodb: Option<String>,
    /// The endpoint of SQS-compatible queues to use instead of the embedded ones. Queues are
    /// created unless they exist.
    pub sqs: Option<String>,
    /// The endpoint of the functions' `Invoke` API, instead of processes of their binaries.
    pub lambda: Option<String>,
    /// Contains the functions' binaries, each with its function's name.
    pub functions_directory: PathBuf,
    /// Registers functions. Its targets run on this machine.
    pub functions_file: Option<PathBuf>,
    /// Variables for every function. They override the bundle's variables.
    pub environment: Vec<(String, String)>,
    /// The clock of store, queues and gateway. The functions' processes use the system clock.
    pub clock: Arc<dyn Clock>,
}

impl Settings {
    /// The functions report a wrong value when they start, so here it counts as absent.
    fn worker_timeout_secs(&self) -> u32 {
        let environment: Environment = self.environment.iter().cloned().collect();
        worker_timeout_secs(&environment).unwrap_or(WORKER_TIMEOUT_SECS_DEFAULT)
    }
}

/// A running bundle. Dropping it kills the functions' processes; [`Bundle::stop`] also waits until
/// they have ended.
pub struct Bundle {
    url: String,
    store_url: String,
    functions: Functions,
    registered: Option<Registered>,
    event_sources: Vec<EventSource>,
    shut_gateway: oneshot::Sender<()>,
    gateway: JoinSet<io::Result<()>>,
    console: Option<console::Running>,
    /// The store and the queues, which end when this is dropped.
    _services: JoinSet<()>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port may be in use.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// 0 for any.
        port: u16,
        source: io::Error,
    },
    #[error("the function binary {} is missing", .0.display())]
    BinaryMissing(PathBuf),
    #[error(transparent)]
    FunctionsFile(#[from] FileError),
    /// The targets' runtimes were not written, or their listener did not start.
    #[error("the targets of the functions file are not usable")]
    Targets(#[source] io::Error),
    /// The store did not start, or did not create the table.
    #[error("the store is not usable")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Processes of functions did not start: which ones, and each one's error.
    #[error("{0}")]
    Functions(String),
    /// The port may be in use, by another bundle's console.
    #[error(
        "cannot listen on 127.0.0.1:{port} for the console: choose another port by --console-port, or \
         start with --no-console"
    )]
    ListenForConsole { port: u16, source: io::Error },
    /// The console has a setting that is not valid.
    #[error(transparent)]
    Console(SettingError),
    /// The queues did not start, or were not created.
    #[error("the queues are not usable")]
    Queues(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a change of the functions file does not take effect. The bundle goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error("{0}\nthe functions stay as they were")]
    File(#[from] FileError),
    /// New processes of functions did not start.
    #[error("{0}")]
    Functions(String),
}

/// Why a started bundle does not answer.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("GET {} is not answered", Route::Health.path())]
    Unanswered(#[from] reqwest::Error),
    #[error("GET {} is answered with {status} {body}; the log says why", Route::Health.path())]
    Refused { status: u16, body: String },
}

impl Bundle {
    /// Starts everything, with one process of each function. More start on demand.
    ///
    /// # Errors
    ///
    /// When a part does not start; the parts that have started are stopped.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        // First, so that a second bundle on the same port fails before it changes anything.
        let listener = listen(settings.port).await?;
        let url = format!("http://{}", address(&listener)?);
        let console_listener = match settings.console_port {
            Some(port) => Some(listen(port).await.map_err(console_port_taken)?),
            None => None,
        };
        let mut services = JoinSet::new();
        let store_endpoint = store::start(&settings, &mut services).await?;
        let queues = Queues::start(&settings, &mut services).await?;
        let registered = match &settings.functions_file {
            Some(file) => {
                let allowed = settings.allowed.without_origins();
                Some(Registered::start(file, settings.worker_timeout_secs(), allowed).await?)
            }
            None => None,
        };
        let mut environment = functions::environment(&url, &store_endpoint, &queues);
        if let Some(registered) = &registered {
            environment.extend(registered.environment());
        }
        let functions = Functions::new(&settings, environment)?;
        functions.start().await?;
        let (worker, callback) = (&functions.worker, &functions.callback);
        let event_sources = event_sources::start(&settings, &queues, worker, callback);
        let owners = Arc::new(Owners::default());
        let console = match console_listener {
            Some(listener) => {
                let place =
                    console::LocalPlace::new(&url, &queues, &functions, Arc::clone(&owners));
                let environment = &functions.environment;
                Some(console::Running::start(
                    listener,
                    environment,
                    place,
                    &settings,
                )?)
            }
            None => None,
        };
        let gateway = Gateway {
            owners,
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
            // An error says that the bundle was dropped, which stops the gateway too.
            let _ = shut.await;
        }));
        Ok(Self {
            url,
            store_url: store_endpoint,
            functions,
            registered,
            event_sources,
            shut_gateway,
            gateway: serving,
            console,
            _services: services,
        })
    }

    /// The API's URL: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The console's URL, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn console_url(&self) -> Option<&str> {
        self.console.as_ref().map(console::Running::url)
    }

    /// The store's endpoint, even if [`Settings::environment`] gives the functions another one.
    #[must_use]
    pub fn store_url(&self) -> &str {
        &self.store_url
    }

    /// The functions' variables, for functions behind [`Settings::lambda`].
    #[must_use]
    pub fn function_environment(&self) -> &[(String, String)] {
        &self.functions.environment
    }

    /// The targets of the functions file.
    #[must_use]
    pub fn targets(&self) -> &[TargetSettings] {
        match &self.registered {
            Some(registered) => registered.targets(),
            None => &[],
        }
    }

    /// Waits until the functions file or a target's files change, and puts the change into effect:
    /// processes of functions and of changed targets are replaced as they become idle. Without a
    /// functions file it waits forever.
    ///
    /// # Errors
    ///
    /// When the changed functions file cannot be used; its errors are returned once.
    pub async fn reload(&mut self) -> Result<Reloaded, ReloadError> {
        let Some(registered) = &mut self.registered else {
            return std::future::pending().await;
        };
        let reloaded = registered.change().await?;
        if reloaded.file_changed {
            let renewed = self.functions.renew().await;
            renewed.map_err(ReloadError::Functions)?;
            if let Some(console) = &self.console {
                let reloaded = console.reload();
                reloaded.map_err(|error| ReloadError::Functions(error.to_string()))?;
            }
        }
        Ok(reloaded)
    }

    /// By function name.
    #[must_use]
    pub fn usage(&self) -> [(&'static str, Usage); 4] {
        self.functions.usage()
    }

    /// Sends one `GET /health` through the gateway.
    ///
    /// # Errors
    ///
    /// When the response is not a success; the log says why a function failed.
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

    /// Stops everything and waits until no process is left. Requests and invocations in progress
    /// are aborted, as by a crash.
    pub async fn stop(mut self) {
        for event_source in self.event_sources {
            event_source.stop().await;
        }
        // An error says that the gateway has ended already.
        let _ = self.shut_gateway.send(());
        self.functions.stop().await;
        if let Some(registered) = &self.registered {
            registered.stop().await;
        }
        let drained = tokio::time::timeout(DRAIN_MAX, self.gateway.join_next()).await;
        if drained.is_err() {
            let drain_secs = DRAIN_MAX.as_secs();
            tracing::debug!(drain_secs, "requests in progress were aborted");
        }
    }
}

fn console_port_taken(error: StartError) -> StartError {
    match error {
        StartError::Listen { port, source } => StartError::ListenForConsole { port, source },
        error => error,
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
