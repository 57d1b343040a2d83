//! Store and queues by themselves, for tests that call the functions' handlers in their own process.

use std::path::PathBuf;
use std::sync::Arc;

use shared::clock::Clock;
use shared::domain::time::Timestamp;
use tokio::task::JoinSet;

use crate::bundle::queues::Queues;
use crate::bundle::{Settings, StartError, functions, store};
use crate::guard::Allowed;
use crate::sqs::Sqs;

/// A running store with its table, and the queues. They end when this is dropped.
pub struct Services {
    /// The variables that a function needs to find them.
    pub environment: Vec<(String, String)>,
    queues: Option<Sqs>,
    _tasks: JoinSet<()>,
}

impl Services {
    /// Starts them, on free ports and by this clock.
    ///
    /// # Errors
    ///
    /// When one of them cannot be started.
    pub async fn start(clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::start_allowing(Allowed::default(), clock).await
    }

    /// The same for programs that reach them by further names, such as those of a proxy.
    ///
    /// # Errors
    ///
    /// As [`Services::start`].
    pub async fn start_allowing(
        allowed: Allowed,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let settings = Settings {
            port: 0,
            instances: 1,
            http_instances: 1,
            require_token: false,
            allowed,
            worker_batch_size: 1,
            dynamodb: None,
            sqs: None,
            lambda: None,
            functions_directory: PathBuf::new(),
            environment: Vec::new(),
            clock,
        };
        let mut tasks = JoinSet::new();
        let endpoint = store::start(&settings, &mut tasks).await?;
        let queues = Queues::start(&settings, &mut tasks).await?;
        Ok(Self {
            environment: functions::environment("http://ferry.example.com", &endpoint, &queues),
            queues: queues.embedded,
            _tasks: tasks,
        })
    }

    /// When the first message of the queue with this name can be received, now or later; `None` when it holds none.
    #[must_use]
    pub fn next_message_at(&self, queue: &str) -> Option<Timestamp> {
        self.queues.as_ref()?.next_message_at(queue)
    }
}
