//! The functions of the functions file: their targets, with the Invoke API in front of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::bundle::functions_file::{Content, FileError, FunctionsFile};
use crate::bundle::{StartError, address, listen};
use crate::guard::Allowed;
use crate::targets::{TargetSettings, Targets};

/// How often the functions file and the targets' files are checked for changes.
const FILE_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What a change of files has put into effect.
#[derive(Debug)]
pub struct Reloaded {
    /// Whether the functions file has changed, not only files of targets.
    pub file_changed: bool,
    /// The targets that may differ, one for each function.
    pub targets: Vec<TargetSettings>,
}

/// Registered functions. Dropping it kills the processes of their targets.
pub struct Registered {
    file: FunctionsFile,
    settings: Vec<TargetSettings>,
    targets: Arc<Targets>,
    /// The Invoke API's.
    endpoint: String,
    _server: JoinSet<()>,
}

impl Registered {
    /// Reads the functions file and serves its targets. Each starts with its first invocation.
    ///
    /// # Errors
    ///
    /// When the file cannot be used, with all errors in it, or the targets cannot be served.
    pub async fn start(
        file: &Path,
        worker_timeout_secs: u32,
        allowed: Allowed,
    ) -> Result<Self, StartError> {
        let (file, content) = FunctionsFile::open(file, worker_timeout_secs)?;
        let targets =
            Targets::new(file.path().to_owned(), file.directory()).map_err(StartError::Targets)?;
        let targets = Arc::new(targets);
        let Content {
            entries,
            targets: settings,
        } = content;
        targets.replace(settings.clone(), entries);
        let listener = listen(0).await?;
        let endpoint = format!("http://{}", address(&listener)?);
        let serving = Arc::clone(&targets).serve(listener, allowed);
        let mut server = JoinSet::new();
        server.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the Invoke API ended; the bundle must be started again");
            }
        });
        Ok(Self {
            file,
            settings,
            targets,
            endpoint,
            _server: server,
        })
    }

    /// The variables of the functions that read the file and of the worker, which invokes targets.
    #[must_use]
    pub fn environment(&self) -> [(String, String); 2] {
        [
            ("FUNCTIONS_FILE", self.file.copy().display().to_string()),
            ("AWS_ENDPOINT_URL_LAMBDA", self.endpoint.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }

    pub(super) fn targets(&self) -> &[TargetSettings] {
        &self.settings
    }

    /// Waits until the file or the files of a target have changed, and replaces the targets.
    pub(super) async fn change(&mut self) -> Result<Reloaded, FileError> {
        loop {
            tokio::time::sleep(FILE_POLL_INTERVAL).await;
            if let Some(changed) = self.file.changed() {
                let Content { entries, targets } = changed?;
                self.settings.clone_from(&targets);
                self.targets.replace(targets.clone(), entries);
                return Ok(Reloaded {
                    file_changed: true,
                    targets,
                });
            }
            let changed = self.targets.replace_changed();
            if !changed.is_empty() {
                let has_changed = |settings: &&TargetSettings| {
                    let mut changed = changed.iter();
                    changed.any(|target| target.lambda_function == settings.lambda_function)
                };
                let targets = self.settings.iter().filter(has_changed).cloned();
                return Ok(Reloaded {
                    file_changed: false,
                    targets: targets.collect(),
                });
            }
        }
    }

    /// Kills every process of the targets.
    pub async fn stop(&self) {
        self.targets.stop().await;
    }
}
