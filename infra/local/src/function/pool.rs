//! The processes of one function: how many exist, which invocation gets one, and the timeouts.
//!
//! At most `instances_max` invocations are active; the others queue, first come, first served. An
//! active invocation takes an idle process, or waits for one that becomes idle or has started. Of
//! several that wait, the latest is served first: waits are long while many processes start, and
//! the next caller must not wait behind the starts of twenty processes.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use shared::clock::{Clock, SystemClock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

use crate::function::error::ENTRYPOINT_ERROR;
use crate::function::instance::Instance;
use crate::function::runtime_api::Invocation;
use crate::function::{FunctionError, FunctionSettings, Processes, Usage};
use crate::{ACCOUNT_ID, REGION};

/// How long an invocation waits for an idle process before it starts one beyond `instances_eager`:
/// longer than a short invocation takes, and too short for a caller to notice.
const EXTRA_INSTANCE_AFTER: Duration = Duration::from_millis(100);

/// The number of traces of all functions, which makes trace ids unique.
static TRACES: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: FunctionSettings,
    /// A permit for each active invocation.
    active: Arc<Semaphore>,
    /// A permit for each process, from its start to its end.
    processes: Arc<Semaphore>,
    /// A permit for each start in progress: a start keeps a processor busy, so more starts at once
    /// take longer each.
    starts: Semaphore,
    free: Mutex<Free>,
    stopping: watch::Sender<bool>,
    started: AtomicUsize,
    invocations: AtomicU64,
    billed_millis: AtomicU64,
}

#[derive(Debug)]
struct Member {
    instance: Instance,
    /// [`Free::generation`] when it started.
    generation: u64,
    /// Of [`Shared::processes`]; free again when the process is dropped.
    _permit: OwnedSemaphorePermit,
}

/// Processes without an invocation, or invocations without a process.
#[derive(Debug, Default)]
struct Free {
    idle: Vec<Member>,
    waiting: Vec<oneshot::Sender<Member>>,
    /// Grows with each [`Pool::renew`]. A process of an older generation gets no more invocations.
    generation: u64,
}

impl Pool {
    pub(super) fn new(settings: FunctionSettings) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Shared {
            active: Arc::new(Semaphore::new(settings.instances_max)),
            processes: Arc::new(Semaphore::new(settings.instances_max)),
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
        // A task, so that a caller that stops waiting does not end the invocation.
        tokio::spawn(async move {
            let Ok(_active) = shared.active.acquire().await else {
                return Err(FunctionError::Stopped);
            };
            shared.invoke(event).await
        })
        .await
        .unwrap_or(Err(FunctionError::Stopped))
    }

    pub(super) async fn invoke_or_throttle(&self, event: Bytes) -> Result<Bytes, FunctionError> {
        let shared = Arc::clone(&self.0);
        let active = Arc::clone(&shared.active).try_acquire_owned();
        let active = active.map_err(|_| FunctionError::Throttled)?;
        // As in `invoke`.
        tokio::spawn(async move {
            let _active = active;
            shared.invoke(event).await
        })
        .await
        .unwrap_or(Err(FunctionError::Stopped))
    }

    pub(super) async fn renew(&self) -> Result<(), FunctionError> {
        self.0.end_idle().await;
        self.0.start().await
    }

    pub(super) async fn retire(&self) {
        self.0.end_idle().await;
        // Waits for the active invocations. What is invoked later ends at once.
        let _active = self.0.active.acquire_many(self.0.all()).await;
        self.0.stopping.send_replace(true);
        // And for their processes, which end when they are released.
        let _processes = self.0.processes.acquire_many(self.0.all()).await;
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            invocations: self.0.invocations.load(Ordering::Relaxed),
            billed: Duration::from_millis(self.0.billed_millis.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn process_counts(&self) -> Processes {
        let all = self.0.settings.instances_max;
        let alive = all - self.0.processes.available_permits();
        let idle = self.0.lock_free().idle.len();
        Processes {
            busy: alive.saturating_sub(idle),
            idle,
            started: self.0.started.load(Ordering::Relaxed),
        }
    }

    pub(super) async fn stop(&self) {
        self.0.stopping.send_replace(true);
        let all = self.0.all();
        // Every permit is free once every active invocation has ended its process and every queued
        // one has been refused.
        let _active = self.0.active.acquire_many(all).await;
        self.0.end_idle().await;
        // And once every start in progress has been aborted.
        let _processes = self.0.processes.acquire_many(all).await;
    }
}

impl Drop for Pool {
    /// Active invocations keep `Shared` alive. This makes them end their processes.
    fn drop(&mut self) {
        self.0.stopping.send_replace(true);
    }
}

impl Shared {
    async fn invoke(self: &Arc<Self>, event: Bytes) -> Result<Bytes, FunctionError> {
        if *self.stopping.borrow() {
            return Err(FunctionError::Stopped);
        }
        let mut member = self.member().await?;
        let began = tokio::time::Instant::now();
        let timeout = self.settings.timeout;
        let invocation = self.invocation(event);
        let request_id = invocation.request_id.clone();
        let outcome = tokio::select! {
            outcome = member.instance.invoke(invocation) => outcome,
            () = tokio::time::sleep(timeout) => {
                Err(FunctionError::TimedOut { request_id, timeout })
            }
            () = self.stopped() => Err(FunctionError::Stopped),
        };
        self.bill(began.elapsed());
        match &outcome {
            Ok(_) | Err(FunctionError::Reported { .. } | FunctionError::Response { .. }) => {
                self.release(member);
            }
            Err(_) => member.instance.kill().await,
        }
        outcome
    }

    /// A process that asks for an invocation: the idle one that was used last, else the next that
    /// becomes idle or has started.
    async fn member(self: &Arc<Self>) -> Result<Member, FunctionError> {
        loop {
            let member = match self.idle_or_wait() {
                Ok(idle) => idle,
                Err(released) => self.next_member(released).await?,
            };
            match member.instance.ready_or_end(self.stopped()).await {
                Ok(instance) => return Ok(Member { instance, ..member }),
                Err(FunctionError::Init { reason, .. }) => {
                    tracing::warn!(
                        function = %self.settings.name,
                        reason,
                        "an idle process has ended; the invocation gets another"
                    );
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for a process, and starts one: at once below `instances_eager`, else after a moment.
    async fn next_member(
        self: &Arc<Self>,
        mut released: oneshot::Receiver<Member>,
    ) -> Result<Member, FunctionError> {
        let mut wait = std::pin::pin!(tokio::time::sleep(EXTRA_INSTANCE_AFTER));
        loop {
            if self.process_count() >= self.settings.instances_eager && !wait.is_elapsed() {
                tokio::select! {
                    biased;
                    Ok(member) = &mut released => return Ok(member),
                    () = self.stopped() => return Err(FunctionError::Stopped),
                    () = &mut wait => continue,
                }
            }
            let mut start = self.spawn_start();
            tokio::select! {
                biased;
                Ok(member) = &mut released => return Ok(member),
                started = &mut start => started.unwrap_or(Err(FunctionError::Stopped))?,
            }
            // A later invocation got the started process, or the maximum is reached. In the second
            // case a process becomes idle, or it ends: the loop finds both.
            if self.processes.available_permits() == 0 {
                tokio::select! {
                    biased;
                    Ok(member) = &mut released => return Ok(member),
                    () = self.stopped() => return Err(FunctionError::Stopped),
                    () = tokio::time::sleep(EXTRA_INSTANCE_AFTER) => {}
                }
            }
        }
    }

    /// A task, because the start continues when the invocation gets another process meanwhile.
    fn spawn_start(self: &Arc<Self>) -> JoinHandle<Result<(), FunctionError>> {
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(_start) = shared.starts.acquire().await else {
                return Err(FunctionError::Stopped);
            };
            if shared.has_waiting() {
                shared.start().await
            } else {
                Ok(())
            }
        })
    }

    /// Starts and releases a process, unless `instances_max` is reached.
    async fn start(&self) -> Result<(), FunctionError> {
        let Ok(permit) = Arc::clone(&self.processes).try_acquire_owned() else {
            return Ok(());
        };
        let generation = self.lock_free().generation;
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let began = tokio::time::Instant::now();
        let instance = Instance::spawn(&self.settings, number).await;
        let instance = instance.map_err(|error| {
            let reason = self.settings.command.why_not_started(&error);
            FunctionError::init(ENTRYPOINT_ERROR, reason, "")
        })?;
        let ready = instance.ready_or_end(self.stopped()).await;
        self.bill(began.elapsed());
        let instance = ready?;
        self.release(Member {
            instance,
            generation,
            _permit: permit,
        });
        Ok(())
    }

    fn idle_or_wait(&self) -> Result<Member, oneshot::Receiver<Member>> {
        let mut free = self.lock_free();
        free.idle.pop().ok_or_else(|| {
            let (waiting, released) = oneshot::channel();
            free.waiting.push(waiting);
            released
        })
    }

    /// Gives a process to the latest invocation that waits for one; without any it becomes idle.
    /// One of an older generation ends; invocations that wait start others.
    fn release(&self, mut member: Member) {
        let mut free = self.lock_free();
        if member.generation != free.generation {
            return;
        }
        while let Some(waiting) = free.waiting.pop() {
            match waiting.send(member) {
                Ok(()) => return,
                // That invocation no longer waits.
                Err(returned) => member = returned,
            }
        }
        free.idle.push(member);
    }

    fn has_waiting(&self) -> bool {
        let mut free = self.lock_free();
        free.waiting.retain(|waiting| !waiting.is_closed());
        !free.waiting.is_empty()
    }

    fn process_count(&self) -> usize {
        self.settings.instances_max - self.processes.available_permits()
    }

    /// Lambda bills starts and invocations in milliseconds, rounded up.
    fn bill(&self, took: Duration) {
        let millis = u64::try_from(took.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        self.billed_millis.fetch_add(millis, Ordering::Relaxed);
    }

    async fn stopped(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self
            .stopping
            .subscribe()
            .wait_for(|stopping| *stopping)
            .await;
    }

    /// The deadline is in system time, whatever the bundle's clock: a process has no other clock.
    fn invocation(&self, event: Bytes) -> Invocation {
        let now = SystemClock.now();
        let number = self.invocations.fetch_add(1, Ordering::Relaxed);
        let millis = now.as_millis();
        let trace = TRACES.fetch_add(1, Ordering::Relaxed);
        Invocation {
            // In the form of a UUID. Time and number make it unique within the function.
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

    /// Ends the idle processes, and every other one when it is released.
    async fn end_idle(&self) {
        let idle = {
            let mut free = self.lock_free();
            free.generation += 1;
            std::mem::take(&mut free.idle)
        };
        for member in idle {
            member.instance.kill().await;
        }
    }

    /// The permits of [`Shared::active`] and of [`Shared::processes`].
    fn all(&self) -> u32 {
        u32::try_from(self.settings.instances_max).unwrap_or(u32::MAX)
    }

    fn lock_free(&self) -> std::sync::MutexGuard<'_, Free> {
        // Each change is one step, so a panic leaves the lists complete.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
