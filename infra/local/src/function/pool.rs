//! The processes of one function: how many there are, whose turn it is, and how long each may take.
//!
//! There is a turn for each process that may exist, and invocations get one first come, first served. One that has its turn
//! takes an idle process, or waits for one that comes free or has started. The latest is served first then: an invocation that
//! waits for an operation's end has time, and the next caller is not to wait behind the starts of twenty processes.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use shared::clock::{Clock, SystemClock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

use crate::function::instance::{Gone, Instance};
use crate::function::output;
use crate::function::runtime_api::Invocation;
use crate::function::{FunctionError, FunctionSettings, Usage};
use crate::{ACCOUNT_ID, REGION};

/// How long a process may take until it asks for its first invocation: Lambda's own limit of the init phase.
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html>
const INIT_MAX: Duration = Duration::from_secs(10);

/// How long an invocation waits for a process to come free before one beyond the eager ones is started: longer than short
/// invocations take, and too short for a caller to notice.
const EXTRA_INSTANCE_AFTER: Duration = Duration::from_millis(100);

/// How many invocations there have been, of all functions: what tells their traces apart.
static TRACES: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: FunctionSettings,
    /// A permit for each invocation that has its turn.
    turns: Semaphore,
    /// A permit for each process, from its start until it is gone.
    places: Arc<Semaphore>,
    /// A permit for each start under way: a start is work for a processor, and more at once only take longer.
    starts: Semaphore,
    free: Mutex<Free>,
    stopping: watch::Sender<bool>,
    started: AtomicUsize,
    invocations: AtomicU64,
    billed_millis: AtomicU64,
}

/// A process with its place.
#[derive(Debug)]
struct Member {
    instance: Instance,
    place: OwnedSemaphorePermit,
}

/// Processes that no invocation has, or else invocations that have no process.
#[derive(Debug, Default)]
struct Free {
    idle: Vec<Member>,
    waiting: Vec<oneshot::Sender<Member>>,
}

impl Pool {
    pub(super) fn new(settings: FunctionSettings) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Shared {
            turns: Semaphore::new(settings.instances_max),
            places: Arc::new(Semaphore::new(settings.instances_max)),
            starts: Semaphore::new(processors),
            settings,
            free: Mutex::default(),
            stopping: watch::Sender::new(false),
            started: AtomicUsize::new(0),
            invocations: AtomicU64::new(0),
            billed_millis: AtomicU64::new(0),
        }))
    }

    pub(super) async fn start(&self) -> Result<(), FunctionError> {
        self.0.start().await
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
        for member in self.0.take_idle() {
            member.instance.kill().await;
        }
        // And once every start under way has been given up.
        let _places = self.0.places.acquire_many(everyone).await;
    }
}

impl Drop for Pool {
    /// Running invocations hold what they need alive; this tells them to end their processes.
    fn drop(&mut self) {
        self.0.stopping.send_replace(true);
    }
}

impl Shared {
    async fn invoke(self: &Arc<Self>, event: Bytes) -> Result<Bytes, FunctionError> {
        let Ok(_turn) = self.turns.acquire().await else {
            return Err(FunctionError::Stopped);
        };
        if *self.stopping.borrow() {
            return Err(FunctionError::Stopped);
        }
        let mut member = self.member().await?;
        let began = tokio::time::Instant::now();
        let timeout = self.settings.timeout;
        let outcome = tokio::select! {
            outcome = member.instance.invoke(self.invocation(event)) => outcome,
            () = tokio::time::sleep(timeout) => Err(FunctionError::TimedOut { timeout }),
            () = self.stopped() => Err(FunctionError::Stopped),
        };
        self.bill(began.elapsed());
        match &outcome {
            Ok(_) | Err(FunctionError::Reported { .. } | FunctionError::Response { .. }) => {
                self.hand_over(member);
            }
            Err(_) => member.instance.kill().await,
        }
        outcome
    }

    /// A process that asks for an invocation: the one that was used last and still lives, else the next that comes free or
    /// has started.
    async fn member(self: &Arc<Self>) -> Result<Member, FunctionError> {
        loop {
            let member = match self.idle_or_wait() {
                Ok(idle) => idle,
                Err(handed_over) => self.next_member(handed_over).await?,
            };
            match self.ready(member.instance).await {
                Ok(instance) => {
                    let place = member.place;
                    return Ok(Member { instance, place });
                }
                Err(FunctionError::Init { reason }) => {
                    tracing::warn!(function = %self.settings.name, reason, "a process was lost between two invocations");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for a process, and has one started: at once while there are few, else after a moment.
    async fn next_member(
        self: &Arc<Self>,
        mut handed_over: oneshot::Receiver<Member>,
    ) -> Result<Member, FunctionError> {
        let mut patience = std::pin::pin!(tokio::time::sleep(EXTRA_INSTANCE_AFTER));
        loop {
            if self.places_taken() >= self.settings.instances_eager && !patience.is_elapsed() {
                tokio::select! {
                    biased;
                    Ok(member) = &mut handed_over => return Ok(member),
                    () = self.stopped() => return Err(FunctionError::Stopped),
                    () = &mut patience => continue,
                }
            }
            let mut start = self.spawn_start();
            tokio::select! {
                biased;
                Ok(member) = &mut handed_over => return Ok(member),
                started = &mut start => started.unwrap_or(Err(FunctionError::Stopped))?,
            }
            // A later invocation got what was started, or there are as many as may be. Then one of them comes free, unless it
            // dies: so this is checked again.
            if self.places.available_permits() == 0 {
                tokio::select! {
                    biased;
                    Ok(member) = &mut handed_over => return Ok(member),
                    () = self.stopped() => return Err(FunctionError::Stopped),
                    () = tokio::time::sleep(EXTRA_INSTANCE_AFTER) => {}
                }
            }
        }
    }

    /// In a task, since the start goes on when the invocation gets another process meanwhile.
    fn spawn_start(self: &Arc<Self>) -> JoinHandle<Result<(), FunctionError>> {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(_start) = shared.starts.acquire().await else {
                return Err(FunctionError::Stopped);
            };
            if shared.is_waited_for() {
                shared.start().await
            } else {
                Ok(())
            }
        })
    }

    /// Starts a process and hands it over, if there is a place for one more.
    async fn start(&self) -> Result<(), FunctionError> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Ok(());
        };
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let began = tokio::time::Instant::now();
        let instance = Instance::spawn(&self.settings, number).await;
        let instance = instance.map_err(|error| FunctionError::Init {
            reason: format!("{}: {error}", self.settings.binary.display()),
        })?;
        let ready = self.ready(instance).await;
        self.bill(began.elapsed());
        let instance = ready?;
        self.hand_over(Member { instance, place });
        Ok(())
    }

    fn idle_or_wait(&self) -> Result<Member, oneshot::Receiver<Member>> {
        let mut free = self.lock_free();
        free.idle.pop().ok_or_else(|| {
            let (waiting, handed_over) = oneshot::channel();
            free.waiting.push(waiting);
            handed_over
        })
    }

    /// To the latest invocation that waits for one, or to the idle ones.
    fn hand_over(&self, mut member: Member) {
        let mut free = self.lock_free();
        while let Some(waiting) = free.waiting.pop() {
            match waiting.send(member) {
                Ok(()) => return,
                // It has given up.
                Err(returned) => member = returned,
            }
        }
        free.idle.push(member);
    }

    fn is_waited_for(&self) -> bool {
        let mut free = self.lock_free();
        free.waiting.retain(|waiting| !waiting.is_closed());
        !free.waiting.is_empty()
    }

    fn places_taken(&self) -> usize {
        self.settings.instances_max - self.places.available_permits()
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
        let mut log = instance.end().await;
        let refusal = output::take_refusal(&mut log);
        output::print(&log);
        Err(match refusal {
            Some(reason) => FunctionError::Init { reason },
            None => failed,
        })
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

    fn take_idle(&self) -> Vec<Member> {
        std::mem::take(&mut self.lock_free().idle)
    }

    fn lock_free(&self) -> std::sync::MutexGuard<'_, Free> {
        // A list of processes is whole between any two of its calls, whoever panicked while holding it.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
