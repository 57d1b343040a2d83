//! The callers of one operation, each a task of its own, and the log of what they were answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use shared::domain::id::{ClaimId, CreateId};
use shared::domain::operation::{FailureCode, Operation, OperationError};
use shared::domain::precondition::Preconditions;
use shared::domain::time::Timestamp;
use shared::random::{Random, SeededRandom};
use shared::store::{
    CancelOutcome, Claimed, Created, Draft, Finished, GivenUp, Held, Renewed, Store, StoreError,
};
use todc_utils::linearizability::history::Action;

use super::super::{LEASE, NOW, json, owner, secs};
use super::model::{Answer, Call, Fence, Seen};

/// Callers of one operation.
pub(super) const TASKS: u8 = 8;
/// Calls of each.
pub(super) const CALLS: usize = 6;
/// How far time moves on with each call at most, in seconds: a lease passes now and then.
const STEP_SECS_MAX: u64 = 15;

/// Calls and answers in the order in which they were made, by whom.
pub(super) type Log = Vec<(usize, Action<(Call, Option<Answer>)>)>;

/// Has all tasks call at once, for an operation that none of them has created yet; what they were answered.
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
    // As if they were answered at the very end: one that was not carried out comes after all others then, and nobody sees it.
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
    /// Who waits for an answer that will not come, and to what.
    unanswered: Mutex<Vec<(usize, Call)>>,
    tasks: AtomicU64,
    tokens: AtomicU64,
    now_secs: AtomicU64,
}

/// One caller.
struct Task {
    race: Arc<Race>,
    /// Its name in the history; another after a call whose end is not known.
    thread: usize,
    random: SeededRandom,
    /// Of the record that it would create.
    own: u8,
    /// Of the record that is there, once it knows.
    create_id: u8,
    held: Option<(Held, u8)>,
    spent: Option<Operation>,
}

fn error() -> OperationError {
    OperationError::of(FailureCode::InternalError, "so it goes")
}

fn create_id(number: u8) -> CreateId {
    CreateId::from_bytes([number; 16])
}

/// The number that an id was made of.
fn number_of(id: &CreateId) -> u8 {
    (0..TASKS).find(|number| create_id(*number) == *id).unwrap()
}

fn seen(operation: &Operation) -> Seen {
    Seen::of(operation, number_of(&operation.create_id))
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
            spent: None,
        }
    }

    fn below(&self, bound: u64) -> u64 {
        let random: &dyn Random = &self.random;
        u64::from(u32::from_ne_bytes(random.bytes())) % bound
    }

    /// The time of a call. Of two calls at once either may be carried out first, whatever their times.
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
                2 | 3 if self.spent.is_some() => self.give_up().await,
                4 | 5 if holds => self.renew().await,
                6..=8 if holds => self.finish().await,
                _ => self.claim().await,
            }
        }
    }

    /// Makes a call and records it; `None` when the answer was lost for good.
    async fn call<T>(
        &mut self,
        call: Call,
        made: impl Future<Output = Result<T, StoreError>>,
        answer: impl FnOnce(&T) -> Answer,
    ) -> Option<T> {
        let race = Arc::clone(&self.race);
        let log = |action| race.log.lock().unwrap().push((self.thread, action));
        log(Action::Call((call.clone(), None)));
        let Ok(made) = made.await else {
            // Whoever knows not what became of a call makes his next one as somebody else.
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
        let answer = |created: &Created| match created {
            Created::New => Answer::Created,
            Created::Existing(existing) => Answer::Existing(seen(existing)),
            Created::Erased => unreachable!("nobody erases here"),
        };
        let call = Call::Create { create_id: number };
        let created = self
            .call(call, race.store.create(&draft, NOW), answer)
            .await;
        if let Some(Created::Existing(existing)) = created {
            self.create_id = number_of(&existing.create_id);
        }
    }

    async fn get(&mut self) {
        let race = Arc::clone(&self.race);
        let answer = |found: &Option<Operation>| {
            found
                .as_ref()
                .map_or(Answer::Absent, |found| Answer::Is(seen(found)))
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
        // Now and then for a message whose own create was refused.
        let is_of_another = self.below(8) == 0;
        let number = if is_of_another {
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
        let answer = |claimed: &Claimed| match claimed {
            Claimed::Held(held) => Answer::Claimed(seen(held.operation())),
            Claimed::Absent | Claimed::ExpiredWithCallback => Answer::Absent,
            Claimed::OtherIncarnation => Answer::OtherIncarnation,
            Claimed::Busy { until } => Answer::Busy { until: *until },
            Claimed::Exhausted(operation) => Answer::Exhausted(seen(operation)),
            Claimed::Ended(operation) => Answer::Ended(seen(operation)),
        };
        match self.call(call, made, answer).await {
            Some(Claimed::Held(held)) => self.held = Some((*held, claim_id)),
            Some(Claimed::Exhausted(operation)) => self.spent = Some(*operation),
            _ => {}
        }
    }

    async fn renew(&mut self) {
        let race = Arc::clone(&self.race);
        let ((held, fence), now) = (self.hold(), self.now());
        let answer = |renewed: &Renewed| match renewed {
            Renewed::Held => Answer::Renewed,
            Renewed::Cancelled | Renewed::Lost => Answer::Lost,
        };
        self.call(
            Call::Renew { fence, now },
            race.store.renew(&held, LEASE, None, now),
            answer,
        )
        .await;
    }

    /// The holder's outcome; now and then a second one, which must not be taken for the first.
    async fn finish(&mut self) {
        let race = Arc::clone(&self.race);
        let ((held, fence), now) = (self.hold(), self.now());
        let answer = |finished: &Finished| match finished {
            Finished::Written(operation) => Answer::Written(seen(operation)),
            Finished::Lost => Answer::Lost,
        };
        let (errors, next_attempt_at) = ([error()], now + secs(20));
        match self.below(3) {
            0 => {
                let (call, result) = (Call::Complete { fence }, json("1"));
                self.call(call, race.store.complete(&held, &result, now), answer)
                    .await;
            }
            1 => {
                self.call(
                    Call::Fail { fence },
                    race.store.fail(&held, &errors, now),
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
                    race.store.retry(&held, &errors[0], next_attempt_at, now),
                    answer,
                )
                .await;
            }
        }
    }

    async fn give_up(&mut self) {
        let race = Arc::clone(&self.race);
        let (spent, now) = (self.spent.clone().unwrap(), self.now());
        let seen_spent = seen(&spent);
        let call = Call::GiveUp {
            create_id: seen_spent.create_id,
            lock_version: seen_spent.lock_version,
            now,
        };
        let answer = |given_up: &GivenUp| match given_up {
            GivenUp::Ended { operation, .. } => Answer::Ended(seen(operation)),
            GivenUp::MovedOn => Answer::MovedOn,
        };
        self.call(call, race.store.give_up(&spent, &[error()], now), answer)
            .await;
    }

    async fn cancel(&mut self) {
        let race = Arc::clone(&self.race);
        let (owner, now) = (owner(), self.now());
        let made = race
            .store
            .cancel(&race.operation.id, &owner, &Preconditions::NONE, now);
        let answer = |cancelled: &CancelOutcome| match cancelled {
            CancelOutcome::Cancelled { operation, by_us } => Answer::Cancelled {
                seen: seen(operation),
                by_us: *by_us,
            },
            CancelOutcome::Ended(_) | CancelOutcome::OtherVersion => Answer::CannotCancel,
            CancelOutcome::Absent => Answer::Absent,
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
