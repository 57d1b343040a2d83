//! Does the work: takes dispatch messages, holds operations, records what came of them.
//!
//! A message is acknowledged only when its operation has ended and its due callback has a message of its own. Until then it
//! comes back, and the next worker takes up whatever a crash left behind; there is no sweeper besides.

mod attempt;
mod context;
mod dead_letter;
mod dispatch;
mod look;
mod settle;
mod thread;
pub mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use shared::aws::Aws;
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::limits::{LEASE_SECS_DEFAULT, LEASE_SECS_MAX, LEASE_SECS_MIN};
use shared::domain::time::Timestamp;
use shared::lambda::{Disposition, EndProcess, MissingMessageId, Record, batch_response, records};
use shared::queue::Queue;
use shared::random::Random;
use shared::store::Store;
use shared::telemetry::{message_span, traced};
use tracing::Instrument as _;

pub use crate::context::{Clients, Context};
use crate::work::Works;
pub use crate::work::{Runner, Work, WorkError, run_by_name};

/// The function. One for a process.
pub struct Worker {
    store: Store,
    dispatch: Queue,
    dead_letters: Queue,
    callbacks: Queue,
    works: Works,
    clients: Arc<Clients>,
    lease: Duration,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Work that was told to end and did not.
    leaked: AtomicBool,
    /// The same, of work that no caller's cancel or deadline ended.
    leaked_by_itself: AtomicBool,
}

/// Why a batch has no answer. Nothing is acknowledged then, and its messages come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unserved {
    /// No answer could name what came of each message.
    #[error(transparent)]
    MissingMessageId(#[from] MissingMessageId),
    /// Some work would not end: its thread is still running and would go on inside the next invocation. The process must end.
    #[error(transparent)]
    Leaked(#[from] EndProcess),
}

impl Worker {
    /// The function with its settings, the clients and what comes from outside.
    ///
    /// # Errors
    ///
    /// When a setting is missing or malformed.
    pub fn new(
        environment: &Environment,
        aws: &Aws,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SettingError> {
        let queue = |url_setting| aws.queue(environment, url_setting);
        let lease_secs = environment.number(
            "LEASE_SECONDS",
            LEASE_SECS_MIN..=LEASE_SECS_MAX,
            LEASE_SECS_DEFAULT,
        )?;
        Ok(Self {
            store: aws.store(environment)?,
            dispatch: queue("DISPATCH_QUEUE_URL")?,
            dead_letters: queue("DISPATCH_DEAD_LETTER_QUEUE_URL")?,
            callbacks: queue("CALLBACK_QUEUE_URL")?,
            works: Works::new(environment.switch("DEMO_FUNCTIONS")?),
            clients: Arc::new(Clients::new(environment.clone())),
            lease: Duration::from_secs(u64::from(lease_secs)),
            clock,
            random,
            leaked: AtomicBool::new(false),
            leaked_by_itself: AtomicBool::new(false),
        })
    }

    /// The same worker with other work than the catalogue's, for tests that need functions of their own.
    #[must_use]
    pub fn with_work(self, runners: &'static [Runner]) -> Self {
        Self {
            works: Works::only(runners),
            ..self
        }
    }

    /// Serves one batch, from the dispatch queue or its dead-letter queue, until `deadline`, when Lambda would end the process.
    /// The messages are served side by side, and none waits for or disturbs another.
    ///
    /// # Errors
    ///
    /// When a message has no name, or work would not end.
    pub async fn handle(
        &self,
        event: SqsEvent,
        deadline: Timestamp,
    ) -> Result<SqsBatchResponse, Unserved> {
        let records = records(event, self.clock.now())?;
        let served = records.iter().map(|record| {
            let trace_header = record.trace_header.as_deref();
            let span = message_span(&record.message_id, trace_header);
            traced(trace_header, self.serve(record, deadline).instrument(span))
        });
        let dispositions = futures_util::future::join_all(served).await;
        if self.leaked.load(Ordering::Relaxed) {
            // One error of Lambda's for the whole batch: the version's own fault outweighs a caller's.
            return Err(Unserved::Leaked(EndProcess {
                is_caused_by_caller: !self.leaked_by_itself.load(Ordering::Relaxed),
            }));
        }
        let message_ids = records.iter().map(|record| record.message_id.clone());
        Ok(batch_response(message_ids.zip(dispositions)))
    }

    async fn serve(&self, record: &Record, deadline: Timestamp) -> Disposition {
        if self.is_dead_letter(record) {
            self.serve_dead_letter(record).await
        } else {
            self.serve_dispatch(record, deadline).await
        }
    }
}
