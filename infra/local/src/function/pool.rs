//! The processes of one function: how many there are, whose turn it is, and how long each may take.
//!
//! The semaphore is the order: it has a permit for each process that may exist, and hands them out first come, first
//! served. Whoever holds one takes an idle process or starts one, so a process is never started that nobody waits for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use shared::clock::{Clock, SystemClock};
use tokio::sync::{Semaphore, watch};

use crate::function::instance::{Gone, Instance};
use crate::function::runtime_api::Invocation;
use crate::function::{FunctionError, FunctionSettings, Usage};
use crate::{ACCOUNT_ID, REGION};

/// How long a process may take until it asks for its first invocation: Lambda's own limit of the init phase.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
const INIT_MAX: Duration = Duration::from_secs(10);

/// How many invocations there have been, of all functions: what tells their traces apart.
static TRACES: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: FunctionSettings,
    turns: Semaphore,
    idle: Mutex<Vec<Instance>>,
    stopping: watch::Sender<bool>,
    started: AtomicUsize,
    invocations: AtomicU64,
    billed_millis: AtomicU64,
}

impl Pool {
    pub(super) fn new(settings: FunctionSettings) -> Self {
        Self(Arc::new(Shared {
            turns: Semaphore::new(settings.instances_max),
            settings,
            idle: Mutex::new(Vec::new()),
            stopping: watch::Sender::new(false),
            started: AtomicUsize::new(0),
            invocations: AtomicU64::new(0),
            billed_millis: AtomicU64::new(0),
        }))
    }

    pub(super) async fn invoke(&self, event: Bytes) -> Result<Bytes, FunctionError> {
        let shared = Arc::clone(&self.0);
        // In a task of its own, so that a caller who stops waiting does not end the invocation.
        tokio::spawn(async move { shared.invoke(event).await })
            .await
            .unwrap_or(Err(FunctionError::Stopped))
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            invocations: self.0.invocations.load(Ordering::Relaxed),
            billed: Duration::from_millis(self.0.billed_millis.load(Ordering::Relaxed)),
        }
    }

    pub(super) async fn stop(&self) {
        self.0.stopping.send_replace(true);
        let everyone = u32::try_from(self.0.settings.instances_max).unwrap_or(u32::MAX);
        // Every permit is back once every running invocation has ended its process and every waiting one has been refused.
        let _turns = self.0.turns.acquire_many(everyone).await;
        for instance in self.0.take_idle() {
            instance.kill().await;
        }
    }
}

impl Drop for Pool {
    /// Running invocations hold what they need alive; this tells them to end their processes.
    fn drop(&mut self) {
        self.0.stopping.send_replace(true);
    }
}

impl Shared {
    async fn invoke(&self, event: Bytes) -> Result<Bytes, FunctionError> {
        let Ok(_turn) = self.turns.acquire().await else {
            return Err(FunctionError::Stopped);
        };
        if *self.stopping.borrow() {
            return Err(FunctionError::Stopped);
        }
        let mut instance = self.instance().await?;
        let began = tokio::time::Instant::now();
        let timeout = self.settings.timeout;
        let outcome = tokio::select! {
            outcome = instance.invoke(self.invocation(event)) => outcome,
            () = tokio::time::sleep(timeout) => Err(FunctionError::TimedOut { timeout }),
            () = self.stopped() => Err(FunctionError::Stopped),
        };
        self.bill(began.elapsed());
        match &outcome {
            Ok(_) | Err(FunctionError::Reported { .. } | FunctionError::Response { .. }) => {
                self.lock_idle().push(instance);
            }
            Err(_) => instance.kill().await,
        }
        outcome
    }

    /// A process that asks for an invocation: the one that was used last and still lives, else a new one.
    async fn instance(&self) -> Result<Instance, FunctionError> {
        while let Some(instance) = self.take_last_idle() {
            match self.ready(instance).await {
                Err(FunctionError::Init { reason }) => {
                    tracing::warn!(function = %self.settings.name, reason, "a process was lost between two invocations");
                }
                found => return found,
            }
        }
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let began = tokio::time::Instant::now();
        match Instance::spawn(&self.settings, number).await {
            Ok(instance) => {
                let ready = self.ready(instance).await;
                self.bill(began.elapsed());
                ready
            }
            Err(error) => Err(FunctionError::Init {
                reason: format!("{}: {error}", self.settings.binary.display()),
            }),
        }
    }

    /// As Lambda does, a start like an invocation: by the millisecond, rounded up.
    fn bill(&self, took: Duration) {
        let millis = u64::try_from(took.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        self.billed_millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// Waits until the process asks for an invocation, and kills it if it does not.
    async fn ready(&self, mut instance: Instance) -> Result<Instance, FunctionError> {
        let failed = tokio::select! {
            biased;
            () = self.stopped() => FunctionError::Stopped,
            ready = instance.ready() => match ready {
                Ok(()) => return Ok(instance),
                Err(Gone::Ended(status)) => FunctionError::Init {
                    reason: format!("the process ended ({status}) before it asked for an invocation"),
                },
                Err(Gone::GaveUp(error)) => FunctionError::Init { reason: error.to_string() },
            },
            () = tokio::time::sleep(INIT_MAX) => FunctionError::Init {
                reason: format!("the process asked for no invocation within {} s", INIT_MAX.as_secs()),
            },
        };
        instance.kill().await;
        Err(failed)
    }

    async fn stopped(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self
            .stopping
            .subscribe()
            .wait_for(|stopping| *stopping)
            .await;
    }

    /// The deadline is told in the machine's own time, whatever clock the bundle runs on: a process has no other.
    fn invocation(&self, event: Bytes) -> Invocation {
        let now = SystemClock.now();
        let number = self.invocations.fetch_add(1, Ordering::Relaxed);
        let millis = now.as_millis();
        let trace = TRACES.fetch_add(1, Ordering::Relaxed);
        Invocation {
            // A UUID in form. Time and number keep it from meeting another of the same function.
            request_id: format!(
                "{:08x}-{:04x}-4000-8000-{number:012x}",
                (millis >> 16) & 0xffff_ffff,
                millis & 0xffff
            ),
            function_arn: format!(
                "arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{}",
                self.settings.name
            ),
            trace_id: format!(
                "Root=1-{:08x}-{trace:024x};Parent={trace:016x};Sampled=0",
                now.as_secs()
            ),
            deadline: now + self.settings.timeout,
            event,
        }
    }

    fn take_last_idle(&self) -> Option<Instance> {
        self.lock_idle().pop()
    }

    fn take_idle(&self) -> Vec<Instance> {
        std::mem::take(&mut *self.lock_idle())
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        // A list of processes is whole between any two of its calls, whoever panicked while holding it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
