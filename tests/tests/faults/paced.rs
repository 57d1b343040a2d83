//! Work that takes its time, by the clock that is moved by hand.
//!
//! It runs on threads of its own, as all work does, and would get on with it at any moment. So it stops at gates: what comes
//! after one begins when nothing else is going on, and one gate opens at a time. A story with it is the same each time.

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

/// `demo.echo`, which takes its time: `at_secs` says when each gate opens, counted from the attempt's beginning. Behind each it
/// reports progress; behind the last it returns, or panics until the attempt `succeeds_on`.
pub(crate) struct Paced;

/// All work of a worker that knows no other.
pub(crate) static RUNNERS: [Runner; 1] = [Runner::of::<Paced>()];

/// The works of one story, by their names.
#[derive(Default)]
pub(crate) struct Works(Mutex<BTreeMap<String, Stand>>);

/// Where a work stands.
struct Stand {
    context: Arc<Context>,
    gate: Option<Gate>,
}

struct Gate {
    opens_at: Timestamp,
    open: oneshot::Sender<()>,
}

/// A story's works, and the wire that it is told over.
type Place = (Arc<Works>, Wire);

/// Those of every story: nothing else leads from a function to the test that it is part of.
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
        let here = Here::enter(&plan, context);
        let gates = plan["at_secs"].as_array().unwrap();
        for (passed, secs) in gates.iter().enumerate() {
            here.pass(Duration::from_secs(secs.as_u64().unwrap())).await;
            if passed + 1 < gates.len() {
                let share = f64::from(u32::try_from(passed + 1).unwrap()) / 10.0;
                here.context.progress(share, &format!("passed {secs}"));
            }
        }
        if u64::from(here.context.attempt()) < plan["succeeds_on"].as_u64().unwrap_or(1) {
            // A panic but for the hook, which would tell of each.
            std::panic::resume_unwind(Box::new("asked to panic"));
        }
        Ok(args)
    }
}

/// A work in its own eyes.
struct Here {
    works: Arc<Works>,
    wire: Wire,
    name: String,
    context: Arc<Context>,
    began: Timestamp,
}

/// Takes a work off its list when its thread ends, and not before: until then the worker has not been told that it is over.
struct Leaves {
    works: Arc<Works>,
    wire: Wire,
    name: String,
}

thread_local! {
    static LEAVES: Cell<Option<Leaves>> = const { Cell::new(None) };
}

impl Here {
    fn enter(plan: &Value, context: Context) -> Self {
        let (works, wire) = PLACES.lock().unwrap()[plan["story"].as_str().unwrap()].clone();
        let name = plan["name"].as_str().unwrap().to_owned();
        LEAVES.set(Some(Leaves {
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
        let stand = Stand {
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
            .insert(self.name.clone(), stand);
        self.wire.wake_process();
        opened.await.unwrap();
    }
}

impl Drop for Leaves {
    fn drop(&mut self) {
        self.works.0.lock().unwrap().remove(&self.name);
        self.wire.wake_process();
    }
}

impl Works {
    /// The works of a story that is told over this wire.
    pub(crate) fn of(story: &str, wire: &Wire) -> Arc<Self> {
        let works = Arc::<Self>::default();
        let entry = (Arc::clone(&works), wire.clone());
        PLACES.lock().unwrap().insert(story.to_owned(), entry);
        works
    }

    /// What they are at; lets one go on whose time has come when all of them wait. `begun` is how many were begun and are not
    /// over, as far as their worker knows.
    pub(crate) fn look(&self, clock: &ManualClock, begun: usize) -> AtWork {
        let mut works = self.0.lock().unwrap();
        if begun == 0 && works.is_empty() {
            return AtWork::None;
        }
        let waits = |work: &Stand| work.gate.is_some() && !work.context.is_cancelled();
        if works.len() != begun || !works.values().all(waits) {
            return AtWork::Runs;
        }
        let now = clock.now();
        let due = works
            .values_mut()
            .find_map(|work| work.gate.take_if(|gate| gate.opens_at <= now));
        match due {
            Some(gate) => {
                // One that was dropped meanwhile goes nowhere.
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
