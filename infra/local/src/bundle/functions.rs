//! The four functions with the template's settings: processes of their binaries, or another
//! endpoint's.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shared::domain::limits::{
    CALLBACK_FUNCTION_TIMEOUT_SECS, HTTP_FUNCTION_TIMEOUT_SECS, WORKER_TIMEOUT_SECS_DEFAULT,
};

use crate::bundle::queues::Queues;
use crate::bundle::{Settings, StartError, TABLE_NAME, event_sources};
use crate::function::{Function, FunctionError, FunctionSettings, INIT_TIMEOUT, Usage};
use crate::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// A function as the template configures it by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionShape {
    /// The name of the function and of its binary.
    pub name: &'static str,
    pub timeout: Duration,
    pub memory_mb: u32,
}

/// Below the gateway's 30 s, so that a slow request gets the function's response and not the
/// gateway's.
const HTTP_TIMEOUT: Duration = Duration::from_secs(HTTP_FUNCTION_TIMEOUT_SECS as u64);

const SUBMIT: FunctionShape = FunctionShape {
    name: "submit",
    timeout: HTTP_TIMEOUT,
    memory_mb: 256,
};
const STATUS: FunctionShape = FunctionShape {
    name: "status",
    timeout: HTTP_TIMEOUT,
    memory_mb: 256,
};
const WORKER: FunctionShape = FunctionShape {
    name: "worker",
    timeout: Duration::from_secs(WORKER_TIMEOUT_SECS_DEFAULT as u64),
    memory_mb: 512,
};
const CALLBACK: FunctionShape = FunctionShape {
    name: "callback",
    timeout: Duration::from_secs(CALLBACK_FUNCTION_TIMEOUT_SECS as u64),
    memory_mb: 256,
};

/// The most processes of `submit` and of `status`, hence the most callers that can wait at once.
/// Each takes memory and a few file descriptors, so this is far below AWS's 1,000.
pub const HTTP_INSTANCES_MAX: usize = 100;

pub const FUNCTIONS: [FunctionShape; 4] = [SUBMIT, STATUS, WORKER, CALLBACK];

/// The variables that the program `local` passes on from its own environment to the functions.
pub const PASSED_ON: [&str; 19] = [
    "AWS_LAMBDA_LOG_FORMAT",
    "AWS_LAMBDA_LOG_LEVEL",
    "CALLBACK_ALLOWED_NETWORKS",
    "CALLBACK_RETRY_SECONDS",
    "CALLBACK_ROOT_CERTIFICATES",
    "CALLBACK_TIMEOUT_SECONDS",
    "DEMO_FUNCTIONS",
    "FILE_ALLOWED_NETWORKS",
    "FORRST_WAIT_SECONDS",
    "LEASE_SECONDS",
    "MCP_WAIT_SECONDS",
    "METRICS_NAMESPACE",
    "PUBLIC_URL",
    "SERVICE_NAME",
    "TARGET_KEEP_ALIVE_SECONDS",
    "WAIT_SECONDS_MAX",
    "WEBHOOK_SECRETS",
    "WEBHOOK_SIGNATURE_VERSIONS",
    "WORKER_TIMEOUT_SECONDS",
];

/// The default secret for callback signatures. It is public, so it is for development only.
pub const DEVELOPMENT_WEBHOOK_SECRET: &str = "whsec_ZmVycnktbG9jYWwtZGV2ZWxvcG1lbnQtb25seS1rZXk=";

/// A constant, so that after a restart with a store that outlives the bundle (`--dynamodb`)
/// idempotency keys still find their operations. Owners are not authenticated here, so ids need not
/// be secret.
const ID_SALT: &str = "local";

pub(super) struct Functions {
    pub(super) submit: Arc<Function>,
    pub(super) status: Arc<Function>,
    pub(super) worker: Arc<Function>,
    pub(super) callback: Arc<Function>,
    pub(super) environment: Vec<(String, String)>,
}

impl Functions {
    pub(super) fn new(
        settings: &Settings,
        mut environment: Vec<(String, String)>,
    ) -> Result<Self, StartError> {
        for (name, value) in &settings.environment {
            environment.retain(|(own, _)| own != name);
            environment.push((name.clone(), value.clone()));
        }
        let http = settings.http_instances.max(settings.instances);
        let events = event_sources::invocations_max(settings.instances);
        let function =
            |shape, instances_max| function(settings, shape, instances_max, &environment);
        let worker = FunctionShape {
            timeout: Duration::from_secs(settings.worker_timeout_secs().into()),
            ..WORKER
        };
        Ok(Self {
            submit: function(SUBMIT, http)?,
            status: function(STATUS, http)?,
            worker: function(worker, events)?,
            callback: function(CALLBACK, events)?,
            environment,
        })
    }

    /// Starts a process of each, as a deployment with provisioned concurrency does, so that a
    /// malformed setting is reported before the first request.
    pub(super) async fn start(&self) -> Result<(), StartError> {
        let functions = [
            (SUBMIT.name, &self.submit),
            (STATUS.name, &self.status),
            (WORKER.name, &self.worker),
            (CALLBACK.name, &self.callback),
        ];
        let started =
            functions.map(|(name, function)| async move { (name, function.start().await) });
        let started = futures_util::future::join_all(started).await;
        let Some(problems) = problems(started) else {
            return Ok(());
        };
        self.stop().await;
        Err(StartError::Functions(problems))
    }

    /// Replaces the processes of the functions that read the functions file. Those of the worker
    /// come first, as on AWS: what a new submit accepts, a worker must know.
    ///
    /// # Errors
    ///
    /// When new processes do not start: which functions, and each one's error.
    pub(super) async fn renew(&self) -> Result<(), String> {
        let mut renewed = Vec::new();
        for (name, function) in [
            (WORKER.name, &self.worker),
            (SUBMIT.name, &self.submit),
            (STATUS.name, &self.status),
        ] {
            renewed.push((name, function.renew().await));
        }
        problems(renewed).map_or(Ok(()), Err)
    }

    pub(super) fn usage(&self) -> [(&'static str, Usage); 4] {
        [
            (SUBMIT.name, self.submit.usage()),
            (STATUS.name, self.status.usage()),
            (WORKER.name, self.worker.usage()),
            (CALLBACK.name, self.callback.usage()),
        ]
    }

    pub(super) async fn stop(&self) {
        for function in [&self.submit, &self.status, &self.worker, &self.callback] {
            function.stop().await;
        }
    }
}

/// The functions that did not start, each with its error.
fn problems(
    started: impl IntoIterator<Item = (&'static str, Result<(), FunctionError>)>,
) -> Option<String> {
    // A setting that several functions refuse is reported once.
    let mut refusals: Vec<(String, String)> = Vec::new();
    for (name, started) in started {
        let Err(error) = started else { continue };
        let problem = match error {
            FunctionError::Init { reason, .. } => reason,
            error => error.to_string(),
        };
        match refusals.iter_mut().find(|(_, known)| *known == problem) {
            Some((names, _)) => {
                names.push_str(", ");
                names.push_str(name);
            }
            None => refusals.push((name.to_owned(), problem)),
        }
    }
    let problems = refusals
        .into_iter()
        .map(|(names, problem)| format!("{names} cannot run: {problem}"))
        .collect::<Vec<_>>();
    (!problems.is_empty()).then(|| problems.join("; "))
}

fn function(
    settings: &Settings,
    shape: FunctionShape,
    instances_max: usize,
    environment: &[(String, String)],
) -> Result<Arc<Function>, StartError> {
    if let Some(endpoint) = &settings.lambda {
        return Ok(Arc::new(Function::remote(endpoint, shape.name)));
    }
    let binary = settings
        .functions_directory
        .join(shape.name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    if !Path::is_file(&binary) {
        return Err(StartError::BinaryMissing(binary));
    }
    Ok(Arc::new(Function::processes(FunctionSettings {
        name: shape.name.to_owned(),
        command: binary.into(),
        timeout: shape.timeout,
        init_timeout: INIT_TIMEOUT,
        memory_mb: shape.memory_mb,
        instances_max,
        instances_eager: settings.instances,
        environment: environment.to_vec(),
        log_prefix: String::new(),
    })))
}

pub(super) fn environment(
    url: &str,
    store_endpoint: &str,
    queues: &Queues,
) -> Vec<(String, String)> {
    [
        ("TABLE_NAME", TABLE_NAME),
        ("DISPATCH_QUEUE_URL", &queues.dispatch.queue.url),
        (
            "DISPATCH_DEAD_LETTER_QUEUE_URL",
            &queues.dispatch.dead_letters.url,
        ),
        ("CALLBACK_QUEUE_URL", &queues.callback.queue.url),
        (
            "CALLBACK_DEAD_LETTER_QUEUE_URL",
            &queues.callback.dead_letters.url,
        ),
        ("AWS_ENDPOINT_URL_DYNAMODB", store_endpoint),
        ("AWS_ENDPOINT_URL_SQS", &queues.endpoint),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("DEMO_FUNCTIONS", "1"),
        // Functions derive an `https` URL from an event; the local gateway speaks plain HTTP.
        ("PUBLIC_URL", url),
        ("ID_SALT", ID_SALT),
        ("LOCAL_BUNDLE", "1"),
        ("WEBHOOK_SECRETS", DEVELOPMENT_WEBHOOK_SECRET),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}
