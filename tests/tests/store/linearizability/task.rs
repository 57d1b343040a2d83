//! The concurrent callers of one operation, one task each, and the log of their calls and
//! responses.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use shared::domain::attempt::Continuation;
use shared::domain::id::{ClaimId, CreateId};
use shared::domain::operation::{FailureCode, Operation, OperationError};
use shared::domain::precondition::Preconditions;
use shared::domain::time::Timestamp;
use shared::random::{Random, SeededRandom};
use shared::store::{
    CancelOutcome, ClaimOutcome, CreateOutcome, Draft, FinishOutcome, GiveUpOutcome, Held,
    RenewOutcome, Store, StoreError,
};
use todc_utils::linearizability::history::Action;

use super::super::{LEASE, NOW, json, owner, secs};
use super::model::{ATTEMPTS_MAX, Call, Fence, Observed, Response};

/// Callers of one operation.
pub(super) const TASKS: u8 = 8;
/// Calls of each.
pub(super) const CALLS: usize = 6;
/// The most that time advances with each call, in seconds: some leases pass.
const STEP_SECS_MAX: u64 = 15;

/// Calls and responses in the order in which they were made, each with its caller.
pub(super) type Log = Vec<(usize, Action<(Call, Option<Response>)>)>;

/// Runs all tasks concurrently, for an operation that none of them has created yet. Returns the
/// log.
pub(super) async fn race(store: Store, operation: Operation, seed: u64) -> Log {
    let race = Arc::new(Race {
        store,
        operation,
        log: Mutex::default(),
        unanswered: Mutex::default(),
        tasks: AtomicU64::new(0),
        tokens: AtomicU64::new(0),
        now_secs: AtomicU64::new(0),
    });
    let tasks = (0..TASKS).map(|number| tokio::spawn(Task::new(&race, number, seed).run()));
    for task in join_all(tasks).await {
        task.unwrap();
    }
    let mut log = std::mem::take(&mut *race.log.lock().unwrap());
    let unanswered = std::mem::take(&mut *race.unanswered.lock().unwrap());
    // Logged as if answered at the very end: one that was never applied is then ordered after all
    // others, where no call observes it.
    log.extend(
        unanswered
            .into_iter()
            .map(|(thread, call)| (thread, Action::Response((call, None)))),
    );
    log
}

/// What the tasks of one history share.
struct Race {
    store: Store,
    operation: Operation,
    log: Mutex<Log>,
    /// Callers whose response was lost, with their calls.
    unanswered: Mutex<Vec<(usize, Call)>>,
    tasks: AtomicU64,
    tokens: AtomicU64,
    now_secs: AtomicU64,
}

struct Task {
    race: Arc<Race>,
    /// Its name in the history. It takes a new one after a call whose outcome is unknown.
    thread: usize,
    random: SeededRandom,
    /// The `create_id` of the record that it would create.
    own: u8,
    /// The `create_id` of the existing record, once it knows it.
    create_id: u8,
    held: Option<(Held, u8)>,
    exhausted: Option<Operation>,
}

fn error() -> OperationError {
    OperationError::of(FailureCode::InternalError, "failed")
}

fn create_id(number: u8) -> CreateId {
    CreateId::from_bytes([number; 16])
}

/// The number that [`create_id`] made an id from.
fn number_of(id: &CreateId) -> u8 {
    (0..TASKS).find(|number| create_id(*number) == *id).unwrap()
}

fn observe(operation: &Operation) -> Observed {
    Observed::of(operation, number_of(&operation.create_id))
}

impl Race {
    fn next(counter: &AtomicU64) -> u64 {
        counter.fetch_add(1, Ordering::Relaxed)
    }

    fn thread(&self) -> usize {
        usize::try_from(Self::next(&self.tasks)).unwrap()
    }
}

impl Task {
    fn new(race: &Arc<Race>, number: u8, seed: u64) -> Self {
        Self {
            thread: race.thread(),
            race: Arc::clone(race),
            random: SeededRandom::new(seed << 8 | u64::from(number)),
            own: number,
            create_id: number,
            held: None,
            exhausted: None,
        }
    }

    fn below(&self, bound: u64) -> u64 {
        let random: &dyn Random = &self.random;
        u64::from(u32::from_ne_bytes(random.bytes())) % bound
    }

    /// The time of a call. Of two concurrent calls either may be applied first, whatever their
    /// times.
    fn now(&self) -> Timestamp {
        let step = self.below(STEP_SECS_MAX + 1);
        NOW + secs(self.race.now_secs.fetch_add(step, Ordering::Relaxed) + step)
    }

    async fn run(mut self) {
        self.create().await;
        for _ in 1..CALLS {
            let holds = self.held.is_some();
            match self.below(10) {
                0 => self.create().await,
                1 => self.get().await,
                2 if self.below(8) == 0 => self.cancel().await,
                2 | 3 if self.exhausted.is_some() => self.give_up().await,
                4 | 5 if holds => self.renew().await,
                6..=8 if holds => self.finish().await,
                _ => self.claim().await,
            }
        }
    }

    /// Makes a call and logs it; `None` when the response was lost.
    async fn call<T>(
        &mut self,
        call: Call,
        made: impl Future<Output = Result<T, StoreError>>,
        answer: impl FnOnce(&T) -> Response,
    ) -> Option<T> {
        let race = Arc::clone(&self.race);
        let log = |action| race.log.lock().unwrap().push((self.thread, action));
        log(Action::Call((call.clone(), None)));
        let Ok(made) = made.await else {
            // A caller that does not know the outcome of a call makes its next call under a new
            // name.
            race.unanswered.lock().unwrap().push((self.thread, call));
            self.thread = race.thread();
            return None;
        };
        log(Action::Response((call, Some(answer(&made)))));
        Some(made)
    }

    async fn create(&mut self) {
        let race = Arc::clone(&self.race);
        let number = self.own;
        let operation = Operation {
            create_id: create_id(number),
            ..race.operation.clone()
        };
        let draft = Draft::new(&operation);
        let answer = |created: &CreateOutcome| match created {
            CreateOutcome::New => Response::Created,
            CreateOutcome::Existing(existing) => Response::Existing(observe(existing)),
            CreateOutcome::Erased => unreachable!("these tasks erase nothing"),
        };
        let call = Call::Create { create_id: number };
        let created = self
            .call(call, race.store.create(&draft, NOW), answer)
            .await;
        if let Some(CreateOutcome::Existing(existing)) = created {
            self.create_id = number_of(&existing.create_id);
        }
    }

    async fn get(&mut self) {
        let race = Arc::clone(&self.race);
        let answer = |found: &Option<Operation>| {
            found
                .as_ref()
                .map_or(Response::Absent, |found| Response::Is(observe(found)))
        };
        let found = self
            .call(Call::Get, race.store.get(&race.operation.id, NOW), answer)
            .await;
        if let Some(Some(found)) = found {
            self.create_id = number_of(&found.create_id);
        }
    }

    async fn claim(&mut self) {
        let race = Arc::clone(&self.race);
        let claim_id = u8::try_from(Race::next(&race.tokens)).unwrap();
        // Sometimes for a message whose own create was refused.
        let is_of_refused_create = self.below(8) == 0;
        let number = if is_of_refused_create {
            self.own
        } else {
            self.create_id
        };
        let now = self.now();
        let call = Call::Claim {
            create_id: number,
            claim_id,
            now,
        };
        let create_id = create_id(number);
        let made = race.store.claim(
            &race.operation.id,
            &create_id,
            ClaimId::from_bytes([claim_id; 16]),
            LEASE,
            now,
        );
        let answer = |claimed: &ClaimOutcome| match claimed {
            ClaimOutcome::Held(held) => Response::Claimed(observe(held.operation())),
            ClaimOutcome::Absent | ClaimOutcome::Gone | ClaimOutcome::ExpiredWithCallback => {
                Response::Absent
            }
            ClaimOutcome::OtherIncarnation => Response::OtherIncarnation,
            ClaimOutcome::Busy { until } => Response::Busy { until: *until },
            ClaimOutcome::Exhausted(operation) => Response::Exhausted(observe(operation)),
            ClaimOutcome::Ended(operation) => Response::Ended(observe(operation)),
        };
        match self.call(call, made, answer).await {
            Some(ClaimOutcome::Held(held)) => self.held = Some((*held, claim_id)),
            Some(ClaimOutcome::Exhausted(operation)) => self.exhausted = Some(*operation),
            _ => {}
        }
    }

    async fn renew(&mut self) {
        let race = Arc::clone(&self.race);
        let ((held, fence), now) = (self.hold(), self.now());
        let answer = |renewed: &RenewOutcome| match renewed {
            RenewOutcome::Held => Response::Renewed,
            RenewOutcome::Cancelled | RenewOutcome::Lost => Response::Lost,
        };
        self.call(
            Call::Renew { fence, now },
            race.store.renew(&held, LEASE, None, now),
            answer,
        )
        .await;
    }

    /// Writes a holder's outcome, sometimes a second one, which must not be taken for the first.
    async fn finish(&mut self) {
        let race = Arc::clone(&self.race);
        let ((held, fence), now) = (self.hold(), self.now());
        let answer = |finished: &FinishOutcome| match finished {
            FinishOutcome::Written(operation) => Response::Written(observe(operation)),
            FinishOutcome::Lost => Response::Lost,
        };
        let next_attempt_at = now + secs(20);
        match self.below(4) {
            0 => {
                let (call, result) = (Call::Complete { fence }, json("1"));
                self.call(call, race.store.complete(&held, &result, now), answer)
                    .await;
            }
            1 => {
                self.call(
                    Call::Fail { fence },
                    race.store.fail(&held, &error().into(), now),
                    answer,
                )
                .await;
            }
            2 => {
                let continuation = Continuation {
                    state: json("1"),
                    resumes_at: next_attempt_at,
                    attempts_max: held.operation().attempt + ATTEMPTS_MAX,
                };
                let call = Call::Continue {
                    fence,
                    resumes_at: next_attempt_at,
                };
                self.call(
                    call,
                    race.store.continue_from(&held, &continuation, now),
                    answer,
                )
                .await;
            }
            _ => {
                let call = Call::Retry {
                    fence,
                    next_attempt_at,
                };
                self.call(
                    call,
                    race.store.retry(&held, &error(), next_attempt_at, now),
                    answer,
                )
                .await;
            }
        }
    }

    async fn give_up(&mut self) {
        let race = Arc::clone(&self.race);
        let (exhausted, now) = (self.exhausted.clone().unwrap(), self.now());
        let exhausted_as_observed = observe(&exhausted);
        let call = Call::GiveUp {
            create_id: exhausted_as_observed.create_id,
            lock_version: exhausted_as_observed.lock_version,
            now,
        };
        let answer = |given_up: &GiveUpOutcome| match given_up {
            GiveUpOutcome::Ended { operation, .. } => Response::Ended(observe(operation)),
            GiveUpOutcome::Changed => Response::MovedOn,
        };
        self.call(
            call,
            race.store.give_up(&exhausted, &[error()], now),
            answer,
        )
        .await;
    }

    async fn cancel(&mut self) {
        let race = Arc::clone(&self.race);
        let (owner, now) = (owner(), self.now());
        let made = race
            .store
            .cancel(&race.operation.id, &owner, &Preconditions::NONE, now);
        let answer = |cancelled: &CancelOutcome| match cancelled {
            CancelOutcome::Cancelled { operation, by_us } => Response::Cancelled {
                observed: observe(operation),
                by_us: *by_us,
            },
            CancelOutcome::Ended(_) | CancelOutcome::PreconditionFailed => Response::CannotCancel,
            CancelOutcome::Absent => Response::Absent,
        };
        self.call(Call::Cancel, made, answer).await;
    }

    fn hold(&self) -> (Held, Fence) {
        let (held, claim_id) = self.held.clone().unwrap();
        let lock_version = held.operation().lock_version;
        (
            held,
            Fence {
                claim_id,
                lock_version,
            },
        )
    }
}
