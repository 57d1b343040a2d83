//! The store and the queues without functions, for tests that call handlers in their own process.

use std::path::PathBuf;
use std::sync::Arc;

use shared::clock::Clock;
use shared::domain::time::Timestamp;
use tokio::task::JoinSet;

use crate::bundle::queues::Queues;
use crate::bundle::{Settings, StartError, functions, store};
use crate::guard::Allowed;
use crate::sqs::Sqs;

/// A running store with its table, and running queues. They end when this is dropped.
pub struct Services {
    /// The environment variables for functions that use them.
    pub environment: Vec<(String, String)>,
    queues: Option<Sqs>,
    _tasks: JoinSet<()>,
}

impl Services {
    /// Starts both on free ports.
    ///
    /// # Errors
    ///
    /// When one of them does not start.
    pub async fn start(clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::start_allowing(Allowed::default(), clock).await
    }

    /// [`Services::start`] for clients that use other host names, such as a proxy's.
    ///
    /// # Errors
    ///
    /// When one of them does not start.
    pub async fn start_allowing(
        allowed: Allowed,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let settings = Settings {
            port: 0,
            console_port: None,
            instances: 1,
            http_instances: 1,
            require_token: false,
            allowed,
            worker_batch_size: 1,
            dynamodb: None,
            sqs: None,
            lambda: None,
            functions_directory: PathBuf::new(),
            functions_file: None,
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

    /// The time from which the queue's first message can be received; `None` for an empty queue.
    #[must_use]
    pub fn next_message_at(&self, queue: &str) -> Option<Timestamp> {
        self.queues.as_ref()?.next_message_at(queue)
    }
}
