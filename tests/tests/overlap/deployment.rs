//! A deployment in the middle of a change: two bundles on one table and its queues, in each of
//! which every function is replaced separately.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use local::bundle::{Bundle, FUNCTIONS, Settings};
use local::client::sdk_config;
use shared::config::Environment;
use tests::bundle::{binaries, settings};
use tests::processes::Process;
use tests::queues::{QueueKind, TestQueue};
use tests::receiver::SECRET;
use tests::wait::until;

/// Short, since the test waits for the messages of killed processes, but longer than a lease.
const VISIBILITY_SECS: &str = "6";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    Previous,
    This,
}

pub(crate) struct Deployment {
    pub(crate) halves: [Half; 2],
    queues: Client,
    environment: Environment,
}

/// A bundle with links to the functions' binaries.
pub(crate) struct Half {
    bundle: Bundle,
    directory: PathBuf,
    releases: HashMap<&'static str, Release>,
}

impl Release {
    fn functions(self) -> PathBuf {
        match self {
            Self::This => binaries(),
            Self::Previous => std::env::var_os("PREVIOUS_FUNCTIONS")
                .expect("tests/overlap.sh sets PREVIOUS_FUNCTIONS")
                .into(),
        }
    }
}

impl Deployment {
    /// Starts with every function of one release.
    pub(crate) async fn start(name: &str, release: Release) -> Self {
        let first = Half::start(&format!("{name}-1"), release, None).await;
        let environment = first.environment();
        let second = Half::start(&format!("{name}-2"), release, Some(&first)).await;
        let endpoint = environment.required("AWS_ENDPOINT_URL_SQS").unwrap();
        let deployment = Self {
            halves: [first, second],
            queues: Client::new(&sdk_config(endpoint)),
            environment,
        };
        for kind in QueueKind::ALL {
            let url = deployment.environment.required(kind.setting()).unwrap();
            let queue = deployment.queues.set_queue_attributes().queue_url(url);
            let changed = queue.attributes(QueueAttributeName::VisibilityTimeout, VISIBILITY_SECS);
            changed.send().await.unwrap();
        }
        deployment
    }

    pub(crate) fn queue(&self, kind: QueueKind) -> TestQueue {
        let url = self.environment.required(kind.setting()).unwrap();
        TestQueue::new(self.queues.clone(), url.to_owned())
    }

    /// Whether a function is of this release in both halves.
    pub(crate) fn is_all(&self, function: &str, release: Release) -> bool {
        self.halves.iter().all(|half| half.runs(function, release))
    }

    pub(crate) async fn stop(self) {
        let [first, second] = self.halves;
        second.bundle.stop().await;
        first.bundle.stop().await;
    }
}

impl Half {
    /// With the table and the queues of the other half, unless it is the first.
    async fn start(name: &str, release: Release, other: Option<&Self>) -> Self {
        let directory = binaries().join("functions").join(name);
        fs::create_dir_all(&directory).unwrap();
        for function in FUNCTIONS {
            link(&directory, function.name, release);
        }
        let environment = [
            // Without it, the functions would log a warning for most messages.
            ("AWS_LAMBDA_LOG_LEVEL", "FATAL"),
            ("CALLBACK_ALLOWED_NETWORKS", "127.0.0.0/8"),
            ("CALLBACK_RETRY_SECONDS", "1,1,1,1,1,1,1,1,1,1"),
            ("LEASE_SECONDS", "5"),
            ("WEBHOOK_SECRETS", SECRET),
        ];
        let sqs = |other: &Self| {
            let environment = other.environment();
            environment
                .required("AWS_ENDPOINT_URL_SQS")
                .unwrap()
                .to_owned()
        };
        let bundle = Bundle::start(Settings {
            instances: 2,
            functions_directory: directory.clone(),
            dynamodb: other.map(|other| other.bundle.store_url().to_owned()),
            sqs: other.map(sqs),
            ..settings(
                environment
                    .map(|(name, value)| (name, value.to_owned()))
                    .into(),
            )
        });
        Self {
            bundle: bundle.await.unwrap(),
            directory,
            releases: FUNCTIONS.map(|function| (function.name, release)).into(),
        }
    }

    pub(crate) fn url(&self) -> &str {
        self.bundle.url()
    }

    pub(crate) fn runs(&self, function: &str, release: Release) -> bool {
        self.releases[function] == release
    }

    /// How often the function was invoked.
    pub(crate) fn invocations(&self, function: &str) -> u64 {
        let usage = self.bundle.usage();
        let (_, usage) = usage.iter().find(|(name, _)| *name == function).unwrap();
        usage.invocations
    }

    /// Replaces the functions with a release's, and kills the processes of the other release in the
    /// middle of their work.
    pub(crate) async fn deploy(&mut self, functions: &[&str], release: Release) {
        for (function, running) in &mut self.releases {
            if !functions.contains(function) {
                continue;
            }
            *running = release;
            link(&self.directory, function, release);
            let expected = release.functions().join(function).canonicalize().unwrap();
            until("the end of the other release's processes", async || {
                let children = Process::children_of(std::process::id()).await;
                let others = children.iter().filter(|process| {
                    let is_of_function = process.directory == self.directory;
                    is_of_function && process.name == *function && binary(process) != expected
                });
                let mut are_gone = true;
                for other in others {
                    other.signal("KILL").await;
                    are_gone = false;
                }
                are_gone.then_some(())
            })
            .await;
        }
    }

    fn environment(&self) -> Environment {
        let variables = self.bundle.function_environment();
        variables.iter().cloned().collect()
    }
}

/// The binary that the process runs, whatever link it was started from. Empty once it has ended.
fn binary(process: &Process) -> PathBuf {
    fs::read_link(format!("/proc/{}/exe", process.id)).unwrap_or_default()
}

/// Replaces a link at once, so that no process is started without one.
fn link(directory: &Path, function: &str, release: Release) {
    let new = directory.join("new");
    let _ = fs::remove_file(&new);
    std::os::unix::fs::symlink(release.functions().join(function), &new).unwrap();
    fs::rename(new, directory.join(function)).unwrap();
}
