//! What must hold, whatever goes wrong.
//!
//! A checker looks at the operation after every process, and at the end says which promise was broken, if one was.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::clock::Clock as _;
use shared::domain::id::OperationId;
use shared::domain::limits::CALLBACK_RETRY_SECS;
use shared::domain::operation::{Operation, Payload, State};
use shared::domain::transition::Status;
use tests::receiver::Receiver;
use tests::world::World;

/// The first attempt and the further ones.
const CALLBACK_ATTEMPTS_MAX: u64 = CALLBACK_RETRY_SECS.len() as u64 + 1;

/// See the module.
pub(crate) struct Checker {
    id: OperationId,
    function: String,
    arguments: Value,
    ends: &'static [&'static str],
    mishaps: usize,
    /// As it was last seen.
    seen: Option<Operation>,
    cancelled: bool,
    rounds: u64,
    erasing: bool,
    erased: bool,
    /// Of the operation that is erased.
    create_id: Option<String>,
    broken: Vec<String>,
}

impl Checker {
    /// Of an operation that has to end in one of these ways, or may be given up when so many mishaps can have cost it its attempts.
    pub(crate) fn new(
        ends: &'static [&'static str],
        mishaps: usize,
        body: &Value,
        id: OperationId,
    ) -> Self {
        Self {
            id,
            function: body["function"].as_str().unwrap().to_owned(),
            arguments: body["arguments"].clone(),
            ends,
            mishaps,
            seen: None,
            cancelled: false,
            rounds: 1,
            erasing: false,
            erased: false,
            create_id: None,
            broken: Vec::new(),
        }
    }

    /// A submit was answered.
    pub(crate) fn accepted(&mut self, status: u16) {
        self.hold(matches!(status, 200 | 202), || {
            format!("submit was answered {status}")
        });
        let is_there = self.seen.is_some();
        self.hold(is_there, || {
            "a submit was accepted and there is no operation".into()
        });
    }

    /// A cancel was answered.
    pub(crate) fn cancelled(&mut self, status: u16) {
        self.cancelled = status == 200;
    }

    /// A redelivery was asked for.
    pub(crate) fn redelivered(&mut self) {
        self.rounds += 1;
    }

    /// An erase is asked for.
    pub(crate) fn erasing(&mut self) {
        self.erasing = true;
        let seen = self.seen.as_ref();
        self.create_id = seen.map(|operation| operation.create_id.as_str().to_owned());
    }

    /// The erase was answered.
    pub(crate) fn erased(&mut self) {
        self.erased = true;
    }

    fn hold(&mut self, holds: bool, promise: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(promise());
        }
    }

    /// Looks at the operation, and compares it with what it was.
    pub(crate) async fn look(&mut self, world: &World, receiver: &Receiver) {
        let now = world.store.get(&self.id, world.clock.now()).await.unwrap();
        let before = self.seen.take();
        match (&before, &now) {
            (Some(before), Some(now)) => self.compare(before, now),
            (Some(_), None) => {
                let erasing = self.erasing;
                self.hold(erasing, || "the operation has vanished".into());
            }
            (None, _) => {}
        }
        if let Some(operation) = &now {
            let told = operation.status().is_terminal() || receiver.received().is_empty();
            self.hold(told, || "a callback came before the end".into());
            let attempts = operation.attempt <= operation.attempts_max;
            self.hold(attempts, || format!("{} attempts", operation.attempt));
        }
        self.seen = now;
    }

    fn compare(&mut self, before: &Operation, now: &Operation) {
        self.hold(before.create_id == now.create_id, || {
            "another incarnation".into()
        });
        let on = now.lock_version >= before.lock_version && now.attempt >= before.attempt;
        self.hold(on, || format!("a step back from {before:?} to {now:?}"));
        let same = now.lock_version > before.lock_version || now.status() == before.status();
        self.hold(same, || {
            format!("a step without a version from {before:?} to {now:?}")
        });
        let fraction = |operation: &Operation| operation.progress.as_ref().map(|p| p.fraction);
        self.hold(fraction(now) >= fraction(before), || {
            format!("progress fell from {before:?} to {now:?}")
        });
        if before.status().is_terminal() {
            let kept = now.state == before.state
                && now.lock_version == before.lock_version
                && now.attempt == before.attempt
                && now.progress == before.progress;
            self.hold(kept, || {
                format!("an end that changed from {before:?} to {now:?}")
            });
        }
    }

    /// How it ended, as status and attempt, once all messages have been served; or what was broken.
    pub(crate) async fn verdict(
        mut self,
        world: &World,
        owner: &str,
        receiver: &Receiver,
    ) -> Result<(String, u32), String> {
        self.look(world, receiver).await;
        let path = format!("/operations/{}", self.id);
        let shown = world.request_of(owner, "GET", &path, &[], b"").await;
        let end = self.seen.as_ref().map_or_else(
            || ("gone".to_owned(), 0),
            |operation| (operation.status().to_string(), operation.attempt),
        );
        if self.erased {
            self.judge_rest(world).await;
        }
        match self.seen.take() {
            _ if self.erased => self.hold(shown.status == 404, || {
                format!("erased, and shown: {}", shown.text)
            }),
            Some(operation) => self.judge(&operation, &shown.json, receiver),
            None => self.hold(false, || "an accepted operation is gone".into()),
        }
        if self.broken.is_empty() {
            Ok(end)
        } else {
            Err(format!("{}\nshown: {}", self.broken.join("; "), shown.text))
        }
    }

    /// Of what was erased the bare mark alone is left. A submit that died may have left payloads that no head ever named: they are
    /// another incarnation's, and expire by themselves.
    async fn judge_rest(&mut self, world: &World) {
        let items = world
            .dynamodb
            .query()
            .table_name("ferry")
            .key_condition_expression("pk = :id")
            .expression_attribute_values(":id", AttributeValue::S(self.id.to_string()))
            .consistent_read(true);
        let items = items.send().await.unwrap().items.unwrap();
        let create_id = self.create_id.clone().unwrap_or_default();
        let is_right = |item: &HashMap<String, AttributeValue>| {
            let sk = item["sk"].as_s().unwrap();
            let is_bare_mark = item.contains_key("erased_at") && item.len() == 6;
            (sk == "head" && is_bare_mark) || (sk != "head" && !sk.contains(&create_id))
        };
        self.hold(items.iter().all(is_right), || {
            format!("erased, and left: {items:?}")
        });
    }

    fn judge(&mut self, operation: &Operation, shown: &Value, receiver: &Receiver) {
        let status = operation.status();
        // Nothing is given up while it has attempts and time left.
        let is_spent = operation.attempt >= operation.attempts_max
            || operation.ended_at() >= Some(operation.deadline_at);
        let attempts_max = usize::try_from(operation.attempts_max).unwrap();
        let is_given_up = status == Status::Failed && is_spent && self.mishaps >= attempts_max;
        let is_right = is_given_up || self.ends.contains(&status.as_str());
        self.hold(is_right, || format!("it is {status}"));
        let cancelled = !self.cancelled || status == Status::Cancelled;
        self.hold(cancelled, || {
            "its cancel was answered and it is not cancelled".into()
        });
        // One step for each claim, at most one for each attempt that was let go, one for the end.
        let (claims, steps) = (u64::from(operation.attempt), operation.lock_version - 1);
        self.hold((claims + 1..=2 * claims + 1).contains(&steps), || {
            format!("{steps} steps for {claims} claims")
        });
        if let State::Completed { result, .. } = &operation.state {
            // The result is that of the attempt that is recorded with it, and not another's.
            let expected = if self.function == "demo.fail" {
                json!({ "attempt": operation.attempt })
            } else {
                self.arguments.clone()
            };
            self.hold(shown["result"] == expected, || {
                "the result is another's".to_owned()
            });
            let here = matches!(result, Payload::Inline(_)) || expected.to_string().len() > 200;
            self.hold(here, || "a small result has an item of its own".into());
        }
        self.judge_callback(operation, shown, receiver);
    }

    fn judge_callback(&mut self, operation: &Operation, shown: &Value, receiver: &Receiver) {
        let deliveries = receiver.received();
        let Some(callback) = &operation.callback else {
            self.hold(deliveries.is_empty(), || "an uncalled-for callback".into());
            return;
        };
        let (made, rounds) = (u64::from(callback.attempts_made), self.rounds);
        self.hold(made <= rounds * CALLBACK_ATTEMPTS_MAX, || {
            format!("{made} attempts in {rounds} rounds")
        });
        match shown["callback"]["status"].as_str() {
            Some("delivered") => {
                self.hold(!deliveries.is_empty(), || "nothing was delivered".into());
            }
            Some("exhausted") => self.hold(made >= CALLBACK_ATTEMPTS_MAX, || {
                format!("exhausted after {made} attempts")
            }),
            status => self.hold(false, || format!("the callback is {status:?}")),
        }
        for delivery in &deliveries {
            let told = delivery.verified();
            let id = delivery.header("webhook-id");
            self.hold(id == operation.webhook_id(), || {
                format!("delivered as {id}")
            });
            for member in ["status", "result", "errors", "attempt"] {
                let same = told["data"][member] == shown[member];
                self.hold(same, || format!("delivered with another {member}"));
            }
        }
    }
}
