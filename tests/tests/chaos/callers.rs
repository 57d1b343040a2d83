//! Callers: they submit with retries, cancel some operations, wait for the end of each, and check
//! every accepted operation after the run.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use local::client::http_client;
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::time::Timestamp;
use tests::receiver::Receiver;

use super::Chance;
use super::long_work;
use super::target::{self, Target};

/// Concurrent callers. Each waits for the end of its operation before it submits the next one:
/// workers that are killed take fewer operations than callers can submit, and a backlog would
/// outgrow [`END_MAX`]. This many are three times what the workers run at once.
const CALLERS: usize = 48;
/// Between two requests of a caller that retries, or that checks the operations.
const PAUSE: Duration = Duration::from_millis(100);
/// Between two reads of a caller that waits for its operation's end.
const POLL_PAUSE: Duration = Duration::from_millis(500);
/// How long operations and callbacks may take to end after the last fault: longer than every lease,
/// visibility timeout and schedule.
const END_MAX: Duration = Duration::from_secs(180);
/// The share of operations that is cancelled.
const CANCELLED: f64 = 0.15;
/// The share of operations of the registered function.
const REGISTERED: f64 = 0.25;
/// The share of operations that start later, and after how many seconds.
const LATE: f64 = 0.1;
const START_SECS: [u64; 3] = [1, 2, 3];

pub(crate) struct Callers<'a> {
    client: reqwest::Client,
    url: &'a str,
    receiver: &'a Receiver,
    target: &'a Target,
    chance: Chance,
}

/// An accepted operation.
pub(crate) struct Accepted {
    id: String,
    submitted: Value,
    /// The operation was cancelled before any attempt, so no attempt may start.
    must_not_run: bool,
}

/// The results of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) operations: usize,
    pub(crate) kills: usize,
    pub(crate) duplicates: usize,
    pub(crate) faults: usize,
    ends: HashMap<String, usize>,
    attempts: u64,
    deliveries: usize,
    /// Operations of the registered function.
    registered: usize,
    /// Operations that completed after several legs, without and with a sleep between them.
    continued: usize,
    slept: usize,
    /// Operations that completed after a start.
    started_later: usize,
    target_requests: usize,
    /// Requests whose worker died, or stopped waiting, before the target's reply.
    abandoned: usize,
    /// Operations that were cancelled before their first attempt.
    cancelled_early: usize,
    end_secs: u64,
    /// Operations that broke a promise, and which one.
    lost: Vec<String>,
}

impl<'a> Callers<'a> {
    pub(crate) fn new(
        url: &'a str,
        receiver: &'a Receiver,
        target: &'a Target,
        chance: Chance,
    ) -> Self {
        Self {
            client: http_client(),
            url,
            receiver,
            target,
            chance,
        }
    }

    /// Submits and waits until `ends_at`, and returns every accepted operation.
    pub(crate) async fn until(&self, ends_at: Timestamp) -> Vec<Accepted> {
        let callers = (0..CALLERS).map(|caller| self.call_until(caller, ends_at));
        let accepted = futures_util::future::join_all(callers).await;
        accepted.into_iter().flatten().collect()
    }

    async fn call_until(&self, caller: usize, ends_at: Timestamp) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        while SystemClock.now() < ends_at {
            let key = format!("{caller}-{}", accepted.len());
            let first_of = accepted.is_empty().then_some(caller);
            let submitted = self.body(&key, first_of);
            let id = self.submit(&key, &submitted).await;
            // The second, so that a short run has cancels too.
            let cancels = match accepted.len() {
                0 => false,
                1 => true,
                _ => self.chance.is(CANCELLED),
            };
            let must_not_run = cancels && self.cancel(&id).await;
            self.read_ended(&id, ends_at, POLL_PAUSE).await;
            accepted.push(Accepted {
                id,
                submitted,
                must_not_run,
            });
        }
        accepted
    }

    /// The first operations of the first callers are of different kinds, so that a short run has
    /// every kind of work.
    fn body(&self, key: &str, first_of: Option<usize>) -> Value {
        let work = [
            json!({"function": "demo.echo", "arguments": {"key": key}}),
            json!({"function": "demo.echo", "arguments": {"key": key, "text": "x".repeat(3000)}}),
            json!({"function": "demo.countdown", "arguments": {"steps": 3, "step_ms": 100}}),
            json!({
                "function": "demo.fail",
                "arguments": {"retryable": true, "succeed_on_attempt": 2},
            }),
            json!({"function": "demo.fail", "arguments": {"retryable": false}}),
            json!({"function": "demo.long", "arguments": {"legs": 3}}),
            json!({"function": "demo.long", "arguments": {"legs": 2, "wait_seconds": 1}}),
        ];
        let first = first_of.and_then(|caller| work.get(caller));
        let mut body = first.or_else(|| self.chance.of(&work)).unwrap().clone();
        if first_of == Some(0) || first.is_none() && self.chance.is(REGISTERED) {
            body = json!({"function": target::FUNCTION, "arguments": {"key": key}});
        }
        if first_of == Some(work.len()) || self.chance.is(LATE) {
            body["start_after_seconds"] = json!(self.chance.of(&START_SECS));
        }
        body["callback_url"] = json!(self.receiver.url);
        body
    }

    /// Retries until there is a response. All attempts have one idempotency key.
    async fn submit(&self, key: &str, body: &Value) -> String {
        if self.chance.is(0.1) {
            self.receiver.answer_next([(503, None)]);
        }
        loop {
            let request = self
                .client
                .post(format!("{}/operations", self.url))
                .header("idempotency-key", key)
                .header("content-type", "application/json")
                .body(body.to_string());
            if let Some((200 | 202, operation)) = answer(request).await {
                return operation["id"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Returns whether the cancel came before any attempt.
    async fn cancel(&self, id: &str) -> bool {
        loop {
            let path = format!("{}/operations/{id}/cancel", self.url);
            match answer(self.client.post(path)).await {
                Some((200, operation)) => return operation["attempt"] == 0,
                Some((409, _)) => return false,
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn read(&self, id: &str) -> Value {
        loop {
            let path = format!("{}/operations/{id}", self.url);
            match answer(self.client.get(path)).await {
                Some((200, operation)) => return operation,
                Some((404, _)) => return json!({"status": "lost"}),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Reads an operation when it and its callback have ended, or at `until`.
    async fn read_ended(&self, id: &str, until: Timestamp, pause: Duration) -> Value {
        let mut seen = self.read(id).await;
        while !has_ended(&seen) && SystemClock.now() < until {
            tokio::time::sleep(pause).await;
            seen = self.read(id).await;
        }
        seen
    }

    /// Waits until every operation and its callback have ended, and checks the promises.
    pub(crate) async fn check(&self, accepted: &[Accepted]) -> Figures {
        let began_at = SystemClock.now();
        let mut figures = Figures {
            operations: accepted.len(),
            cancelled_early: accepted
                .iter()
                .filter(|operation| operation.must_not_run)
                .count(),
            ..Figures::default()
        };
        let mut ended = Vec::new();
        for operation in accepted {
            let seen = self.read_ended(&operation.id, began_at + END_MAX, PAUSE);
            ended.push(seen.await);
        }
        (figures.target_requests, figures.abandoned) = self.target.requests();
        figures.end_secs = SystemClock.now().since(began_at).as_secs();
        let deliveries = self.receiver.received();
        figures.deliveries = deliveries.len();
        let delivered: HashSet<(String, String)> = deliveries
            .iter()
            .map(|delivery| {
                let data = delivery.verified()["data"].clone();
                let text = |name: &str| data[name].as_str().unwrap().to_owned();
                (text("operation_id"), text("status"))
            })
            .collect();
        for (operation, seen) in accepted.iter().zip(ended) {
            let status = seen["status"].as_str().unwrap().to_owned();
            figures.attempts += seen["attempt"].as_u64().unwrap_or_default();
            let is_delivered = delivered.contains(&(operation.id.clone(), status.clone()));
            let has_other_status = delivered
                .iter()
                .any(|(id, other)| *id == operation.id && *other != status);
            let ran = operation.must_not_run
                && (seen["attempt"] != 0
                    || !seen["progress"].is_null()
                    || !seen["started_at"].is_null());
            let changed = self.read(&operation.id).await != seen;
            let mut broken = long_work::broken(&operation.submitted, &seen);
            if seen["function"] == target::FUNCTION {
                figures.registered += 1;
                let must_not_run = operation.must_not_run;
                broken.extend(self.target.broken(&operation.id, &seen, must_not_run));
            }
            figures.count_long_work(&operation.submitted, &seen);
            let by_caller = !is_delivered || has_other_status || ran || changed;
            if !has_ended(&seen) || by_caller || !broken.is_empty() {
                let faults = [
                    ("undelivered", !is_delivered),
                    ("delivered with another status", has_other_status),
                    ("ran", ran),
                    ("changed", changed),
                ];
                figures.lost.push(format!("{faults:?} {broken:?} {seen}"));
            }
            *figures.ends.entry(status).or_default() += 1;
        }
        let ids: HashSet<_> = accepted.iter().map(|operation| &operation.id).collect();
        let unknown = self.target.operations();
        let unknown = unknown.iter().filter(|id| !ids.contains(id));
        let unknown = unknown.map(|id| format!("{id} was never accepted, and its target invoked"));
        figures.lost.extend(unknown);
        figures
    }
}

impl Figures {
    fn count_long_work(&mut self, submitted: &Value, seen: &Value) {
        if seen["status"] != "completed" {
            return;
        }
        let arguments = &submitted["arguments"];
        let slept = arguments["wait_seconds"].is_number();
        self.slept += usize::from(slept);
        self.continued += usize::from(arguments["legs"].is_number() && !slept);
        self.started_later += usize::from(submitted["start_after_seconds"].is_number());
    }

    pub(crate) fn assert_nothing_lost(&self) {
        assert!(self.lost.is_empty(), "{:#?}", self.lost);
        // A run without one of these has not tested its promise.
        let happened = [
            self.operations,
            self.cancelled_early,
            self.continued,
            self.slept,
            self.started_later,
            self.target_requests,
            self.kills,
            self.duplicates,
            self.faults,
        ];
        assert!(happened.iter().all(|count| *count > 0), "{self}");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "operations {} {:?}, {} registered, {} continued, {} slept, {} started later, \
             {} cancelled before any attempt, attempts {}, \
             target requests {}, {} of them abandoned, kills {}, duplicates {}, store faults {}, \
             deliveries {}, at rest after {} s, lost {}",
            self.operations,
            self.ends,
            self.registered,
            self.continued,
            self.slept,
            self.started_later,
            self.cancelled_early,
            self.attempts,
            self.target_requests,
            self.abandoned,
            self.kills,
            self.duplicates,
            self.faults,
            self.deliveries,
            self.end_secs,
            self.lost.len()
        )
    }
}

/// Whether operation and callback have ended.
fn has_ended(operation: &Value) -> bool {
    let ended = ["completed", "failed", "cancelled"].map(Value::from);
    ended.contains(&operation["status"]) && operation["callback"]["status"] == "delivered"
}

/// Status and body; `None` without a response.
async fn answer(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or_default()))
}
