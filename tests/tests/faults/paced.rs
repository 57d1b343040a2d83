//! Work that takes time, by the test's clock.
//!
//! It runs on separate threads, as all work does, and could proceed at any moment. So it stops at
//! gates: a gate opens when nothing else is running, and only one opens at a time. That makes every
//! run of a story the same.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use serde_json::Value;
use shared::catalogue::Function;
use shared::catalogue::demo::{Echo, Object};
use shared::clock::{Clock, ManualClock};
use shared::domain::backoff::RetryPolicy;
use shared::domain::time::Timestamp;
use tests::wire::{Wire, Work as AtWork};
use tokio::sync::oneshot;
use worker::{Context, Runner, Work, WorkError};

/// `demo.echo`, slowed down. `at_secs` says when each gate opens, counted from the start of the
/// attempt. After each gate it reports progress; after the last it returns, or panics if the
/// attempt comes before `succeeds_on`.
pub(crate) struct Paced;

/// The only work of a worker in a story with paced work.
pub(crate) static RUNNERS: [Runner; 1] = [Runner::of::<Paced>()];

/// The running work of one story, by name.
#[derive(Default)]
pub(crate) struct RunningWork(Mutex<BTreeMap<String, Waiting>>);

/// Work that has reached a gate.
struct Waiting {
    context: Arc<Context>,
    gate: Option<Gate>,
}

struct Gate {
    opens_at: Timestamp,
    open: oneshot::Sender<()>,
}

/// A story's work, and the wire that its requests use.
type Place = (Arc<RunningWork>, Wire);

/// The places of all stories. A function has no other way to reach the test that it belongs to.
static PLACES: LazyLock<Mutex<BTreeMap<String, Place>>> = LazyLock::new(Mutex::default);

impl Function for Paced {
    const NAME: &'static str = Echo::NAME;
    const VERSION: &'static str = Echo::VERSION;
    const DESCRIPTION: &'static str = Echo::DESCRIPTION;
    const ATTEMPTS_MAX: u32 = Echo::ATTEMPTS_MAX;
    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(600);
    const DEADLINE_SECS: u32 = Echo::DEADLINE_SECS;
    const RETRY: RetryPolicy = Echo::RETRY;
    const DEMO: bool = Echo::DEMO;

    type Args = Object;
    type Output = Object;
}

impl Work for Paced {
    async fn run(args: Object, context: Context) -> Result<Object, WorkError> {
        let plan: Value = serde_json::from_str(args.0.as_str()).unwrap();
        let run = Run::enter(&plan, context);
        let gates = plan["at_secs"].as_array().unwrap();
        for (passed, secs) in gates.iter().enumerate() {
            run.pass(Duration::from_secs(secs.as_u64().unwrap())).await;
            if passed + 1 < gates.len() {
                let share = f64::from(u32::try_from(passed + 1).unwrap()) / 10.0;
                run.context.progress(share, &format!("passed {secs}"));
            }
        }
        if u64::from(run.context.attempt()) < plan["succeeds_on"].as_u64().unwrap_or(1) {
            // Unlike `panic!`, this does not run the panic hook, which would print a message.
            std::panic::resume_unwind(Box::new("asked to panic"));
        }
        Ok(args)
    }
}

/// One run of the work, as the function sees it.
struct Run {
    works: Arc<RunningWork>,
    wire: Wire,
    name: String,
    context: Arc<Context>,
    began: Timestamp,
}

/// Takes work off the list when its thread ends, and not before: until then the worker does not
/// have its outcome.
struct RemoveAtThreadEnd {
    works: Arc<RunningWork>,
    wire: Wire,
    name: String,
}

thread_local! {
    static REMOVE_AT_THREAD_END: Cell<Option<RemoveAtThreadEnd>> = const { Cell::new(None) };
}

impl Run {
    fn enter(plan: &Value, context: Context) -> Self {
        let (works, wire) = PLACES.lock().unwrap()[plan["story"].as_str().unwrap()].clone();
        let name = plan["name"].as_str().unwrap().to_owned();
        REMOVE_AT_THREAD_END.set(Some(RemoveAtThreadEnd {
            works: Arc::clone(&works),
            wire: wire.clone(),
            name: name.clone(),
        }));
        Self {
            works,
            wire,
            name,
            began: context.now(),
            context: Arc::new(context),
        }
    }

    async fn pass(&self, after: Duration) {
        let (open, opened) = oneshot::channel();
        let waiting = Waiting {
            context: Arc::clone(&self.context),
            gate: Some(Gate {
                opens_at: self.began + after,
                open,
            }),
        };
        self.works
            .0
            .lock()
            .unwrap()
            .insert(self.name.clone(), waiting);
        self.wire.wake_process();
        opened.await.unwrap();
    }
}

impl Drop for RemoveAtThreadEnd {
    fn drop(&mut self) {
        self.works.0.lock().unwrap().remove(&self.name);
        self.wire.wake_process();
    }
}

impl RunningWork {
    /// The work of a story whose requests use this wire.
    pub(crate) fn of(story: &str, wire: &Wire) -> Arc<Self> {
        let works = Arc::<Self>::default();
        let entry = (Arc::clone(&works), wire.clone());
        PLACES.lock().unwrap().insert(story.to_owned(), entry);
        works
    }

    /// Reports what the work is doing. When all of it waits, opens one gate that is due. `started`
    /// is how many runs have started and not ended, as far as their worker knows.
    pub(crate) fn advance(&self, clock: &ManualClock, started: usize) -> AtWork {
        let mut works = self.0.lock().unwrap();
        if started == 0 && works.is_empty() {
            return AtWork::None;
        }
        let waits = |work: &Waiting| work.gate.is_some() && !work.context.is_aborted();
        if works.len() != started || !works.values().all(waits) {
            return AtWork::Runs;
        }
        let now = clock.now();
        let due = works
            .values_mut()
            .find_map(|work| work.gate.take_if(|gate| gate.opens_at <= now));
        match due {
            Some(gate) => {
                // The send fails if the work was dropped meanwhile.
                let _ = gate.open.send(());
                AtWork::Runs
            }
            None => AtWork::Waits,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}
