//! Callers, who submit, ask again until they are answered, cancel some, and in the end look at everything that was accepted.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use local::client::http_client;
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::time::Timestamp;
use tests::receiver::Receiver;

use super::Chance;

/// Callers at once.
const CALLERS: usize = 8;
/// Between two looks of a caller who waits.
const PAUSE: Duration = Duration::from_millis(100);
/// How long everything may take to come to rest, once it is left alone: leases, hidden messages and schedules run out in less.
const SETTLE_MAX: Duration = Duration::from_secs(180);
/// The part of the operations that is cancelled.
const CANCELLED: f64 = 0.15;

pub(crate) struct Callers<'a> {
    client: reqwest::Client,
    url: &'a str,
    receiver: &'a Receiver,
    chance: Chance,
}

/// An operation as its caller knows it.
pub(crate) struct Accepted {
    id: String,
    /// It was cancelled before any attempt, so none may ever begin.
    is_never_to_run: bool,
}

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) operations: usize,
    pub(crate) kills: usize,
    pub(crate) duplicates: usize,
    pub(crate) faults: usize,
    ends: HashMap<String, usize>,
    attempts: u64,
    deliveries: usize,
    /// Operations that were cancelled before their first attempt.
    never_to_run: usize,
    settle_secs: u64,
    /// What broke a promise, and how.
    lost: Vec<String>,
}

impl<'a> Callers<'a> {
    pub(crate) fn new(url: &'a str, receiver: &'a Receiver, chance: Chance) -> Self {
        Self {
            client: http_client(),
            url,
            receiver,
            chance,
        }
    }

    /// Everything that was accepted until then.
    pub(crate) async fn until(&self, ends_at: Timestamp) -> Vec<Accepted> {
        let callers = (0..CALLERS).map(|caller| self.call_until(caller, ends_at));
        let accepted = futures_util::future::join_all(callers).await;
        accepted.into_iter().flatten().collect()
    }

    async fn call_until(&self, caller: usize, ends_at: Timestamp) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        while SystemClock.now() < ends_at {
            let key = format!("{caller}-{}", accepted.len());
            let id = self.submit(&key).await;
            let is_never_to_run = self.chance.is(CANCELLED) && self.cancel(&id).await;
            accepted.push(Accepted {
                id,
                is_never_to_run,
            });
        }
        accepted
    }

    /// Asks until it is answered; the key makes one operation of all that.
    async fn submit(&self, key: &str) -> String {
        let work = [
            json!({"function": "demo.echo", "arguments": {"key": key}}),
            json!({"function": "demo.echo", "arguments": {"key": key, "text": "x".repeat(3000)}}),
            json!({"function": "demo.countdown", "arguments": {"steps": 3, "step_ms": 100}}),
            json!({"function": "demo.fail", "arguments": {"retryable": true, "succeed_on_attempt": 2}}),
            json!({"function": "demo.fail", "arguments": {"retryable": false}}),
        ];
        let mut body = self.chance.of(&work).unwrap().clone();
        body["callback_url"] = json!(self.receiver.url);
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

    /// Cancels; whether that was before any attempt had begun.
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

    /// Waits until everything that was accepted has come to its end, its callback as well, and holds it to the promises.
    pub(crate) async fn settle(&self, accepted: &[Accepted]) -> Figures {
        let began_at = SystemClock.now();
        let mut figures = Figures {
            operations: accepted.len(),
            never_to_run: accepted
                .iter()
                .filter(|operation| operation.is_never_to_run)
                .count(),
            ..Figures::default()
        };
        let mut ended = Vec::new();
        for operation in accepted {
            let mut seen = self.read(&operation.id).await;
            while !is_at_rest(&seen) && SystemClock.now() < began_at + SETTLE_MAX {
                tokio::time::sleep(PAUSE).await;
                seen = self.read(&operation.id).await;
            }
            ended.push(seen);
        }
        figures.settle_secs = SystemClock.now().since(began_at).as_secs();
        let deliveries = self.receiver.received();
        figures.deliveries = deliveries.len();
        let told: HashSet<(String, String)> = deliveries
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
            let delivered = told.contains(&(operation.id.clone(), status.clone()));
            let told_otherwise = told
                .iter()
                .any(|(id, told)| *id == operation.id && *told != status);
            let ran = operation.is_never_to_run
                && (seen["attempt"] != 0
                    || !seen["progress"].is_null()
                    || !seen["started_at"].is_null());
            let changed = self.read(&operation.id).await != seen;
            if !is_at_rest(&seen) || !delivered || told_otherwise || ran || changed {
                let faults = [
                    ("undelivered", !delivered),
                    ("told otherwise", told_otherwise),
                    ("ran", ran),
                    ("changed", changed),
                ];
                figures.lost.push(format!("{faults:?} {seen}"));
            }
            *figures.ends.entry(status).or_default() += 1;
        }
        figures
    }
}

impl Figures {
    pub(crate) fn assert_nothing_lost(&self) {
        assert!(self.lost.is_empty(), "{:#?}", self.lost);
        // What never happened was not held to its promise.
        let happened = [
            self.operations,
            self.never_to_run,
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
            "operations {} {:?}, {} cancelled before any attempt, attempts {}, kills {}, duplicates {}, store faults {}, deliveries {}, at rest after {} s, lost {}",
            self.operations,
            self.ends,
            self.never_to_run,
            self.attempts,
            self.kills,
            self.duplicates,
            self.faults,
            self.deliveries,
            self.settle_secs,
            self.lost.len()
        )
    }
}

fn is_at_rest(operation: &Value) -> bool {
    let ended = ["completed", "failed", "cancelled"].map(Value::from);
    ended.contains(&operation["status"]) && operation["callback"]["status"] == "delivered"
}

/// Status and body, when there was an answer.
async fn answer(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or_default()))
}
