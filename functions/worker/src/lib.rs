//! The `worker` function: receives dispatch messages, runs the work of their operations, and
//! records the outcomes.
//!
//! A message is acknowledged only when its operation has ended and its due callback has a wake-up
//! in the callback queue. Until then it comes back, and the worker that receives it continues where
//! a crash stopped the last one. There is no sweeper.
//!
//! A message's path through [`Handler`]: `dispatch` claims its operation, `attempt` runs the work
//! or waits for its `target`, `attempt::outcome` records how it ended, and `ended` sends the
//! callback's wake-up and acknowledges. `acknowledged` deletes messages of a batch whose others
//! are still served. `absent` serves a message whose record is missing or another incarnation's;
//! `dead_letter` one from the dead-letter queue; `inspect` acts on a record before a claim, or
//! without one for `dead_letter` and for functions that this worker does not have. `received`
//! returns messages and sends them on.

mod absent;
mod acknowledged;
mod attempt;
mod context;
mod dead_letter;
mod dispatch;
mod ended;
mod inspect;
mod received;
mod retry;
mod target;
mod thread;
pub mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use shared::aws::Aws;
use shared::catalogue::Catalogue;
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::domain::limits::{LEASE_SECS_DEFAULT, LEASE_SECS_MAX, LEASE_SECS_MIN};
use shared::domain::time::Timestamp;
use shared::lambda::{
    Disposition, EndProcess, MissingMessageId, ReceivedMessage, received_messages, serve_batch,
};
use shared::queue::Queue;
use shared::random::Random;
use shared::store::Store;

use crate::acknowledged::Acknowledged;
pub use crate::context::{Clients, Context};
use crate::target::Targets;
use crate::work::Runners;
pub use crate::work::{LongWork, Next, Runner, Work, WorkError, run_by_name};

/// The function. One per process.
pub struct Handler {
    store: Store,
    dispatch: Queue,
    dead_letters: Queue,
    callbacks: Queue,
    runners: Runners,
    targets: Arc<Targets>,
    clients: Arc<Clients>,
    lease: Duration,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Some work ignored its abort.
    has_stuck_work: AtomicBool,
    /// Some work ignored an abort that no caller's cancel or deadline caused.
    release_has_stuck_work: AtomicBool,
}

/// Why a batch has no response. No message is acknowledged, so all come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error(transparent)]
    MissingMessageId(#[from] MissingMessageId),
    /// Some work ignored its abort: its thread is still running and would continue inside the next
    /// invocation, so the process must end.
    #[error(transparent)]
    WorkStillRunning(#[from] EndProcess),
}

impl Handler {
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
        let clients = Clients::new(environment.clone());
        // Read when it is needed, but a wrong setting is an error at start.
        clients.file_networks()?;
        Ok(Self {
            store: aws.store(environment)?,
            dispatch: queue("DISPATCH_QUEUE_URL")?,
            dead_letters: queue("DISPATCH_DEAD_LETTER_QUEUE_URL")?,
            callbacks: queue("CALLBACK_QUEUE_URL")?,
            runners: Runners::new(&Catalogue::load(environment)?),
            targets: Arc::new(Targets::new(
                environment,
                aws,
                Arc::clone(&clock),
                Arc::clone(&random),
            )?),
            clients: Arc::new(clients),
            lease: Duration::from_secs(u64::from(lease_secs)),
            clock,
            random,
            has_stuck_work: AtomicBool::new(false),
            release_has_stuck_work: AtomicBool::new(false),
        })
    }

    /// Replaces the compiled functions, for tests that need functions which the catalogue lacks.
    #[must_use]
    pub fn with_work(self, runners: &'static [Runner]) -> Self {
        Self {
            runners: self.runners.with_compiled(runners),
            ..self
        }
    }

    /// Serves one batch, from the dispatch queue or its dead-letter queue, until `deadline`, when
    /// Lambda would end the process. The messages are served concurrently, and none waits for or
    /// disturbs another.
    ///
    /// # Errors
    ///
    /// When a message has no identifier, or work ignores its abort.
    pub async fn handle(
        &self,
        event: SqsEvent,
        deadline: Timestamp,
    ) -> Result<SqsBatchResponse, BatchError> {
        let messages = received_messages(event, self.clock.now())?;
        let acknowledged = Acknowledged::default();
        let served = serve_batch(&messages, async |received| {
            let disposition = self.serve(received, deadline).await;
            if disposition == Disposition::Acknowledge {
                acknowledged.push(received);
            }
            disposition
        });
        let response = tokio::select! {
            biased;
            response = served => response,
            never = self.delete_while_others_are_served(&acknowledged) => match never {},
        };
        if self.has_stuck_work.load(Ordering::Relaxed) {
            // Lambda counts one error for the batch. It counts as the caller's only if callers
            // caused all of it.
            return Err(BatchError::WorkStillRunning(EndProcess {
                is_caused_by_caller: !self.release_has_stuck_work.load(Ordering::Relaxed),
            }));
        }
        Ok(response)
    }

    async fn serve(&self, received: &ReceivedMessage, deadline: Timestamp) -> Disposition {
        if self.is_dead_letter(received) {
            self.serve_dead_letter(received).await
        } else {
            self.serve_dispatch(received, deadline).await
        }
    }
}
