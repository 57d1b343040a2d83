//! What must hold, whatever goes wrong.
//!
//! A checker inspects the operation after every process and lists the promises that were broken.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::fingerprint::redrive_id;
use shared::domain::history::AttemptEnd;
use shared::domain::id::OperationId;
use shared::domain::limits::CALLBACK_RETRY_SECS;
use shared::domain::operation::{Operation, Payload, State};
use shared::domain::transition::Status;
use shared::store::table::TABLE_KEYS;
use tests::receiver::{Delivery, Receiver};
use tests::world::{Response, World};

/// The first attempt and the further ones.
const CALLBACK_ATTEMPTS_MAX: u64 = CALLBACK_RETRY_SECS.len() as u64 + 1;

/// Checks one operation.
pub(crate) struct Checker {
    id: OperationId,
    function: String,
    arguments: Value,
    ends: &'static [&'static str],
    lost_attempts_max: usize,
    /// The legs of the operation that this one is a redrive of.
    legs_before: u64,
    /// How many requests for this redrive were answered.
    redrives: u64,
    /// The operation as last read.
    last: Option<Operation>,
    cancelled: bool,
    rounds: u64,
    erasing: bool,
    erased: bool,
    /// The `create_id` of the operation that is erased.
    create_id: Option<String>,
    violations: Vec<String>,
}

impl Checker {
    /// `ends` are the statuses that the operation may end in. It may also be given up, if
    /// `lost_attempts_max` lost attempts can have used up its own.
    pub(crate) fn new(
        ends: &'static [&'static str],
        lost_attempts_max: usize,
        body: &Value,
        id: OperationId,
    ) -> Self {
        Self {
            id,
            function: body["function"].as_str().unwrap().to_owned(),
            arguments: body["arguments"].clone(),
            ends,
            lost_attempts_max,
            legs_before: 0,
            redrives: 0,
            last: None,
            cancelled: false,
            rounds: 1,
            erasing: false,
            erased: false,
            create_id: None,
            violations: Vec::new(),
        }
    }

    /// Checks the redrive of this operation, which has failed.
    pub(crate) fn of_redrive(&self) -> Self {
        let failed = self.last.as_ref().expect("the operation exists");
        let body = json!({"function": self.function, "arguments": self.arguments});
        let id = redrive_id(&failed.create_id);
        Self {
            legs_before: states_saved(failed),
            ..Self::new(&["completed"], self.lost_attempts_max, &body, id)
        }
    }

    pub(crate) const fn id(&self) -> &OperationId {
        &self.id
    }

    pub(crate) fn submit_answered(&mut self, status: u16) {
        self.require(matches!(status, 200 | 202), || {
            format!("submit was answered {status}")
        });
        let exists = self.last.is_some();
        self.require(exists, || {
            "submit accepted the operation, and no record exists".into()
        });
    }

    /// The failed operation's redrive is this operation, and every request after the first that is
    /// answered is a replay.
    pub(crate) fn redrive_answered(&mut self, failed: &str, response: &Response) {
        self.submit_answered(response.status);
        let is_redrive = response.json["id"] == self.id.as_str()
            && response.json["redrive_of"] == failed
            && (self.redrives == 0 || response.headers["idempotent-replayed"] == "true");
        self.require(is_redrive, || {
            format!("the redrive was answered {}", response.text)
        });
        self.redrives += 1;
    }

    pub(crate) fn cancel_answered(&mut self, status: u16) {
        self.cancelled = status == 200;
    }

    pub(crate) fn redelivery_requested(&mut self) {
        self.rounds += 1;
    }

    pub(crate) fn erase_requested(&mut self) {
        self.erasing = true;
        let last = self.last.as_ref();
        self.create_id = last.map(|operation| operation.create_id.as_str().to_owned());
    }

    pub(crate) fn erase_answered(&mut self) {
        self.erased = true;
    }

    fn require(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(violation());
        }
    }

    /// Reads the operation and compares it with the last read.
    pub(crate) async fn inspect(&mut self, world: &World, receiver: &Receiver) {
        let now = world.store.get(&self.id, world.clock.now()).await.unwrap();
        let before = self.last.take();
        match (&before, &now) {
            (Some(before), Some(now)) => self.compare(before, now),
            (Some(_), None) => {
                let erasing = self.erasing;
                self.require(erasing, || "the operation disappeared".into());
            }
            (None, _) => {}
        }
        if let Some(operation) = &now {
            let in_order = operation.status().is_terminal() || self.deliveries(receiver).is_empty();
            self.require(in_order, || "a callback came before the end".into());
            let is_early = operation.attempt > 0 && operation.started_at < operation.starts_at;
            self.require(!is_early, || {
                format!("an attempt before the start: {operation:?}")
            });
            let attempts = operation.attempt <= operation.attempts_max;
            self.require(attempts, || format!("{} attempts", operation.attempt));
        }
        self.last = now;
    }

    /// A redrive has the receiver of the operation that it comes from.
    fn deliveries(&self, receiver: &Receiver) -> Vec<Delivery> {
        let mut deliveries = receiver.received();
        deliveries
            .retain(|delivery| delivery.verified()["data"]["operation_id"] == self.id.as_str());
        deliveries
    }

    fn compare(&mut self, before: &Operation, now: &Operation) {
        self.require(before.create_id == now.create_id, || {
            "another incarnation".into()
        });
        let forward = now.lock_version >= before.lock_version && now.attempt >= before.attempt;
        self.require(forward, || {
            format!("a step back, from {before:?} to {now:?}")
        });
        let same = now.lock_version > before.lock_version || now.status() == before.status();
        self.require(same, || {
            format!("a step that kept the lock version, from {before:?} to {now:?}")
        });
        let fraction = |operation: &Operation| operation.progress.as_ref().map(|p| p.fraction);
        self.require(fraction(now) >= fraction(before), || {
            format!("progress fell, from {before:?} to {now:?}")
        });
        if before.status().is_terminal() {
            let kept = now.state == before.state
                && now.lock_version == before.lock_version
                && now.attempt == before.attempt
                && now.progress == before.progress;
            self.require(kept, || {
                format!("a terminal state changed, from {before:?} to {now:?}")
            });
        }
    }

    /// The status and the attempt that the operation ended with, once every message has been
    /// served; or what was broken.
    pub(crate) async fn verdict(
        mut self,
        world: &World,
        owner: &str,
        receiver: &Receiver,
    ) -> Result<(String, u32), String> {
        self.inspect(world, receiver).await;
        let path = format!("/operations/{}", self.id);
        let shown = world.request_of(owner, "GET", &path, &[], b"").await;
        let end = self.last.as_ref().map_or_else(
            || ("gone".to_owned(), 0),
            |operation| (operation.status().to_string(), operation.attempt),
        );
        if self.erased {
            self.check_erased_items(world).await;
        }
        match self.last.take() {
            _ if self.erased => self.require(shown.status == 404, || {
                format!("erased, and still shown: {}", shown.text)
            }),
            Some(operation) => self.check_operation(&operation, &shown.json, receiver),
            None => self.require(false, || "an accepted operation is lost".into()),
        }
        if self.violations.is_empty() {
            Ok(end)
        } else {
            Err(format!(
                "{}\nshown: {}",
                self.violations.join("; "),
                shown.text
            ))
        }
    }

    /// An erase leaves only the tombstone. A submit that died may have left payloads that no head
    /// ever named: they belong to another incarnation and expire by themselves.
    async fn check_erased_items(&mut self, world: &World) {
        let [pk, sk] = TABLE_KEYS;
        let items = world
            .dynamodb
            .query()
            .table_name("ferry")
            .key_condition_expression(format!("{pk} = :id"))
            .expression_attribute_values(":id", AttributeValue::S(self.id.to_string()))
            .consistent_read(true);
        let items = items.send().await.unwrap().items.unwrap();
        let create_id = self.create_id.clone().unwrap_or_default();
        let is_right = |item: &HashMap<String, AttributeValue>| {
            let sk = item[sk].as_s().unwrap();
            let is_tombstone = item.contains_key("erased_at") && item.len() == 6;
            (sk == "head" && is_tombstone) || (sk != "head" && !sk.contains(&create_id))
        };
        self.require(items.iter().all(is_right), || {
            format!("the erase left {items:?}")
        });
    }

    fn check_operation(&mut self, operation: &Operation, shown: &Value, receiver: &Receiver) {
        let status = operation.status();
        // Nothing is given up while it has attempts and time left.
        let is_exhausted = operation.attempt >= operation.attempts_max
            || operation.ended_at() >= Some(operation.deadline_at);
        let attempts_max = operation.attempts_max - operation.attempts_before_leg();
        let attempts_max = usize::try_from(attempts_max).unwrap();
        let is_given_up =
            status == Status::Failed && is_exhausted && self.lost_attempts_max >= attempts_max;
        let is_right = is_given_up || self.ends.contains(&status.as_str());
        self.require(is_right, || format!("it ended {status}"));
        let cancelled = !self.cancelled || status == Status::Cancelled;
        self.require(cancelled, || {
            "the cancel was answered 200, and the operation is not cancelled".into()
        });
        // One step for each claim, at most one retry for each claim, and one step for the end.
        let (claims, steps) = (u64::from(operation.attempt), operation.lock_version - 1);
        self.require((claims + 1..=2 * claims + 1).contains(&steps), || {
            format!("{steps} steps for {claims} claims")
        });
        if let State::Completed { result, .. } = &operation.state {
            // The result is the recorded attempt's, and not another attempt's.
            let expected = match self.function.as_str() {
                "demo.fail" => json!({ "attempt": operation.attempt }),
                "demo.long" => json!({ "legs": self.arguments["legs"] }),
                _ => self.arguments.clone(),
            };
            self.require(shown["result"] == expected, || {
                "the result is another attempt's".to_owned()
            });
            // No leg is taken twice once its state is saved.
            let legs = self.arguments["legs"].as_u64().unwrap_or(1);
            let saved = self.legs_before + states_saved(operation);
            let is_cut = operation.history().len() > 9;
            self.require(is_cut || saved + 1 == legs, || {
                format!("{saved} states for {legs} legs")
            });
            let fits = matches!(result, Payload::Inline(_)) || expected.to_string().len() > 200;
            self.require(fits, || {
                "a small result was stored as a separate item".into()
            });
        }
        self.check_callback(operation, shown, receiver);
    }

    fn check_callback(&mut self, operation: &Operation, shown: &Value, receiver: &Receiver) {
        let deliveries = self.deliveries(receiver);
        let Some(callback) = &operation.callback else {
            self.require(deliveries.is_empty(), || {
                "a callback that no caller asked for".into()
            });
            return;
        };
        let (made, rounds) = (u64::from(callback.attempts_made), self.rounds);
        self.require(made <= rounds * CALLBACK_ATTEMPTS_MAX, || {
            format!("{made} attempts in {rounds} rounds")
        });
        match shown["callback"]["status"].as_str() {
            Some("delivered") => {
                self.require(!deliveries.is_empty(), || {
                    "recorded as delivered, and no callback arrived".into()
                });
            }
            Some("exhausted") => self.require(made >= CALLBACK_ATTEMPTS_MAX, || {
                format!("exhausted after {made} attempts")
            }),
            status => self.require(false, || format!("the callback is {status:?}")),
        }
        for delivery in &deliveries {
            let delivered = delivery.verified();
            let id = delivery.header("webhook-id");
            self.require(id == operation.webhook_id(), || {
                format!("delivered as {id}")
            });
            for member in ["status", "result", "errors", "attempt"] {
                let same = delivered["data"][member] == shown[member];
                self.require(same, || format!("delivered with another {member}"));
            }
        }
    }
}

fn states_saved(operation: &Operation) -> u64 {
    let history = operation.history();
    let ends = history.iter().filter_map(|entry| entry.end);
    ends.filter(|end| *end == AttemptEnd::Continued).count() as u64
}
