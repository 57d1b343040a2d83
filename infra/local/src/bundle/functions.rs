//! The four functions: their shapes, their environment, and where they run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shared::domain::limits::{
    CALLBACK_FUNCTION_TIMEOUT_SECS, HTTP_FUNCTION_TIMEOUT_SECS, WORKER_TIMEOUT_SECS,
};

use crate::bundle::queues::{self, Queues};
use crate::bundle::{Settings, StartError, TABLE_NAME};
use crate::function::{Function, FunctionError, FunctionSettings, Usage};
use crate::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// A function as the template configures it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionShape {
    /// Its name, which is its binary's too.
    pub name: &'static str,
    /// Its time limit.
    pub timeout: Duration,
    /// Its memory, in MB.
    pub memory_mb: u32,
}

/// Below the gateway's 30 s, so that it is the function that ends a request, in its own words.
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
    timeout: Duration::from_secs(WORKER_TIMEOUT_SECS as u64),
    memory_mb: 512,
};
const CALLBACK: FunctionShape = FunctionShape {
    name: "callback",
    timeout: Duration::from_secs(CALLBACK_FUNCTION_TIMEOUT_SECS as u64),
    memory_mb: 256,
};

/// The most processes of `submit` and of `status`, so the most callers that may wait at once. Each takes memory and a few
/// file descriptors, so it is far from AWS's 1,000.
pub const HTTP_INSTANCES_MAX: usize = 100;

/// All four.
pub const FUNCTIONS: [FunctionShape; 4] = [SUBMIT, STATUS, WORKER, CALLBACK];

/// The variables of the starter's own environment that its functions get as well, when they are set.
pub const PASSED_ON: [&str; 15] = [
    "AWS_LAMBDA_LOG_FORMAT",
    "AWS_LAMBDA_LOG_LEVEL",
    "CALLBACK_ALLOWED_NETWORKS",
    "CALLBACK_RETRY_SECONDS",
    "CALLBACK_ROOT_CERTIFICATES",
    "CALLBACK_TIMEOUT_SECONDS",
    "DEMO_FUNCTIONS",
    "FORRST_WAIT_SECONDS",
    "LEASE_SECONDS",
    "METRICS_NAMESPACE",
    "PUBLIC_URL",
    "SERVICE_NAME",
    "WAIT_SECONDS_MAX",
    "WEBHOOK_SECRETS",
    "WEBHOOK_SIGNATURE_VERSIONS",
];

/// What callbacks are signed with when nobody says otherwise. It is known to everybody and good for nothing but trying out.
pub const DEVELOPMENT_WEBHOOK_SECRET: &str = "whsec_ZmVycnktbG9jYWwtZGV2ZWxvcG1lbnQtb25seS1rZXk=";

/// A constant, so that idempotency keys still find their operations after a restart with a store
/// that outlives the bundle (`--dynamodb`). Owners are unchecked here: no id has to be hidden.
const ID_SALT: &str = "local";

/// The functions, ready to be invoked.
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
        url: &str,
        store_endpoint: &str,
        queues: &Queues,
    ) -> Result<Self, StartError> {
        let mut environment = environment(url, store_endpoint, queues);
        for (name, value) in &settings.environment {
            environment.retain(|(own, _)| own != name);
            environment.push((name.clone(), value.clone()));
        }
        let http = settings.http_instances.max(settings.instances);
        let fed = queues::invocations_max(settings.instances);
        let function =
            |shape, instances_max| function(settings, shape, instances_max, &environment);
        Ok(Self {
            submit: function(SUBMIT, http)?,
            status: function(STATUS, http)?,
            worker: function(WORKER, fed)?,
            callback: function(CALLBACK, fed)?,
            environment,
        })
    }

    /// Starts a process of each, as the deployment of a version with provisioned concurrency does, so that a wrong setting is
    /// found before the first caller finds it.
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
        // Several functions may refuse one setting, which is then reported once.
        let mut refusals: Vec<(String, String)> = Vec::new();
        for (name, started) in started {
            let Err(error) = started else { continue };
            let problem = match error {
                FunctionError::Init { reason } => reason,
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
        if refusals.is_empty() {
            return Ok(());
        }
        self.stop().await;
        let problems = refusals
            .into_iter()
            .map(|(names, problem)| format!("{names} cannot run: {problem}"));
        Err(StartError::Functions(
            problems.collect::<Vec<_>>().join("; "),
        ))
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
        binary,
        timeout: shape.timeout,
        memory_mb: shape.memory_mb,
        instances_max,
        instances_eager: settings.instances,
        environment: environment.to_vec(),
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
        // The gateway here speaks plain HTTP on a port of its own, which no function could tell from its event.
        ("PUBLIC_URL", url),
        ("ID_SALT", ID_SALT),
        ("LOCAL_BUNDLE", "1"),
        ("WEBHOOK_SECRETS", DEVELOPMENT_WEBHOOK_SECRET),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}
