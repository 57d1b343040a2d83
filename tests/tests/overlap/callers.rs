//! Callers of both halves of a deployment: what they submit, and what must become of it.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use local::client::http_client;
use reqwest::Method;
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::domain::time::Timestamp;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::incompressible;
use tests::wait::until;

use super::deployment::{Deployment, Half, Release};

/// How long operations and callbacks may take to end after the last deployment. The longest wait is
/// that of a message that a worker without its function returned: a minute, perhaps several times.
const END_MAX: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(200);
/// Starts and sleeps that this test does not wait for.
const LONG_WAIT_SECS: u32 = 3600;

pub(crate) struct Callers {
    client: reqwest::Client,
    receiver: Receiver,
    accepted: Vec<Accepted>,
    /// Operations that wait for so long that a later round cancels them.
    waiting: Vec<String>,
    /// Operations that fail after their first leg, for a later round to redrive.
    failing: Vec<String>,
    /// How many were redriven from the state of their first leg.
    redriven_from_state: u32,
    rounds: u32,
}

/// An operation, and how it must end.
struct Accepted {
    id: String,
    status: &'static str,
    /// The code of its error.
    code: Option<&'static str>,
    /// Whether its submit named a start that was ahead.
    starts_later: bool,
    /// How many legs it has, each but the first from the state of the one before.
    legs: Option<usize>,
    /// How many of these had the operation that it redrives.
    legs_before: usize,
}

struct Response {
    status: u16,
    is_replay: bool,
    json: Value,
}

impl Callers {
    pub(crate) async fn start() -> Self {
        Self {
            client: http_client(),
            receiver: Receiver::start().await,
            accepted: Vec::new(),
            waiting: Vec::new(),
            failing: Vec::new(),
            redriven_from_state: 0,
            rounds: 0,
        }
    }

    /// A round of requests of every kind to both halves. Returns once each half has done work and
    /// sent a callback.
    pub(crate) async fn work(&mut self, deployment: &Deployment) {
        self.rounds += 1;
        let [first, second] = &deployment.halves;
        let before = invocations(deployment);
        for id in std::mem::take(&mut self.waiting) {
            self.cancel_and_erase(&id, first, second).await;
        }
        self.receiver.answer_next([(503, None)]);
        for (half, other) in [(first, second), (second, first)] {
            let failed = self.submit_ordinary(half, other).await;
            if half.runs("submit", Release::This) {
                for id in std::mem::take(&mut self.failing) {
                    self.redrive_from_state(id, half).await;
                }
                self.submit_long(half).await;
                self.redrive(&failed, half).await;
            }
            // No worker runs it, so one of the previous release has to give it up.
            let are_workers_old = deployment.is_all("worker", Release::Previous);
            if are_workers_old && half.runs("submit", Release::This) {
                self.expect_given_up(half).await;
            }
        }
        let url = first.url();
        until("work and a callback in each half", async || {
            let now = invocations(deployment);
            let have_worked = before.iter().zip(now).all(|(before, now)| now > *before);
            if !have_worked {
                let id = self.accept(url, json!({"function": "demo.echo"})).await;
                self.accepted.push(Accepted::of(id, "completed"));
            }
            have_worked.then_some(())
        })
        .await;
    }

    /// Submits what every release runs. Returns an operation that fails.
    async fn submit_ordinary(&mut self, half: &Half, other: &Half) -> String {
        let url = half.url();
        let large = json!({"function": "demo.echo", "arguments": {"text": incompressible(3000)}});
        let countdown = |steps: u32| {
            let arguments = json!({"steps": steps, "step_ms": 200});
            json!({"function": "demo.countdown", "arguments": arguments})
        };
        let retried = json!({"retryable": true, "succeed_on_attempt": 2});
        let retried = json!({"function": "demo.fail", "arguments": retried});
        for body in [large, countdown(20), retried] {
            let id = self.accept(url, body).await;
            self.accepted.push(Accepted::of(id, "completed"));
        }
        let endless = self.accept(url, countdown(10_000)).await;
        self.cancel(&endless, other).await;
        self.accepted.push(Accepted::of(endless, "cancelled"));

        let key = format!("{}-{url}", self.rounds);
        let failing = self.with_callback(json!({"function": "demo.fail"}));
        let submit = async |half: &Half| {
            let path = format!("{}/operations", half.url());
            self.send(Method::POST, &path, Some((&key, &failing))).await
        };
        let created = submit(half).await;
        assert_eq!((created.status, created.is_replay), (202, false));
        let replayed = submit(other).await;
        assert!(replayed.is_replay, "{}", replayed.json);
        assert_eq!(replayed.json["id"], created.json["id"]);
        let failed = id(&created.json);
        self.accepted
            .push(Accepted::of(failed.clone(), "failed").with_code("DEMO_FAILURE"));
        failed
    }

    /// Submits what only this release runs from its start to its end.
    async fn submit_long(&mut self, half: &Half) {
        let url = half.url();
        let later = |secs: u32| json!({"function": "demo.echo", "start_after_seconds": secs});
        let long = |legs: usize, wait_secs: u32| {
            let arguments = json!({"legs": legs, "wait_seconds": wait_secs});
            json!({"function": "demo.long", "arguments": arguments})
        };
        for secs in [2, 8] {
            let starting = self.accept(url, later(secs)).await;
            self.accepted.push(Accepted {
                starts_later: true,
                ..Accepted::of(starting, "completed")
            });
            let continuing = self.accept(url, long(3, secs)).await;
            self.accepted.push(Accepted {
                legs: Some(3),
                ..Accepted::of(continuing, "completed")
            });
        }
        let mut failing = long(2, LONG_WAIT_SECS);
        failing["deadline_seconds"] = json!(3);
        let failing = self.accept(url, failing).await;
        self.accepted.push(Accepted::of(failing.clone(), "failed"));
        self.failing.push(failing);
        for body in [later(LONG_WAIT_SECS), long(2, LONG_WAIT_SECS)] {
            let waiting = self.accept(url, body).await;
            self.waiting.push(waiting);
        }
    }

    async fn redrive(&mut self, failed: &str, half: &Half) {
        until("the failure", async || {
            let shown = self.show(failed, half).await;
            (shown["status"] == "failed").then_some(())
        })
        .await;
        let path = format!("{}/operations/{failed}/redrive", half.url());
        let redriven = self.send(Method::POST, &path, None).await;
        assert_eq!(redriven.status, 202, "{}", redriven.json);
        assert_eq!(redriven.json["redrive_of"], failed);
        let repeated = self.send(Method::POST, &path, None).await;
        assert!(repeated.is_replay, "{}", repeated.json);
        assert_eq!(repeated.json["id"], redriven.json["id"]);
        let redriven = Accepted::of(id(&redriven.json), "failed");
        self.accepted.push(redriven.with_code("DEMO_FAILURE"));
    }

    /// Redrives an operation that failed after its first leg. No worker of the previous release may
    /// run the redrive: it would begin with the first leg again.
    async fn redrive_from_state(&mut self, failing: String, half: &Half) {
        let shown = self.show(&failing, half).await;
        if shown["status"] != "failed" {
            // A worker of the previous release has returned its message for up to a minute.
            self.failing.push(failing);
            return;
        }
        if !shown["attempts"].is_array() {
            // Such workers kept its message until the deadline.
            return;
        }
        let path = format!("{}/operations/{failing}/redrive", half.url());
        let body = json!({"from": "state", "deadline_seconds": 3600});
        let request = self.request(Method::POST, &path).body(body.to_string());
        let redriven = Self::response(request).await;
        assert_eq!(redriven.status, 202, "{}", redriven.json);
        self.redriven_from_state += 1;
        self.accepted.push(Accepted {
            legs: Some(2),
            legs_before: 1,
            ..Accepted::of(id(&redriven.json), "completed")
        });
    }

    async fn expect_given_up(&mut self, half: &Half) {
        let body = json!({
            "function": "demo.echo", "start_after_seconds": 2, "deadline_seconds": 2,
        });
        let given_up = self.accept(half.url(), body).await;
        until("the end of an operation past its deadline", async || {
            let shown = self.show(&given_up, half).await;
            shown["completed_at"].is_string().then_some(())
        })
        .await;
        self.accepted
            .push(Accepted::of(given_up, "failed").with_code("DEADLINE_EXCEEDED"));
    }

    /// Cancels an operation that waits, finds it in the list, and erases it once its callback has
    /// arrived.
    async fn cancel_and_erase(&self, id: &str, half: &Half, other: &Half) {
        self.cancel(id, half).await;
        for half in [half, other] {
            let list = format!("{}/operations?status=cancelled&limit=100", half.url());
            let mut page = self.send(Method::GET, &list, None).await.json;
            let is_in = |page: &Value| {
                let mut listed = page["operations"].as_array().unwrap().iter();
                listed.any(|operation| operation["id"] == id)
            };
            while !is_in(&page) {
                let next = page["next_cursor"].as_str();
                let next = next.unwrap_or_else(|| panic!("{id} is not in the list"));
                let next = format!("{list}&cursor={next}");
                page = self.send(Method::GET, &next, None).await.json;
            }
        }
        until("the callback of the cancelled operation", async || {
            let shown = self.show(id, other).await;
            (shown["callback"]["status"] == "delivered").then_some(())
        })
        .await;
        let path = |half: &Half| format!("{}/operations/{id}", half.url());
        let erased = self.send(Method::DELETE, &path(other), None).await;
        assert_eq!(erased.status, 204);
        for half in [half, other] {
            let gone = self.send(Method::GET, &path(half), None).await;
            assert_eq!(gone.status, 404);
        }
    }

    async fn cancel(&self, id: &str, half: &Half) {
        let path = format!("{}/operations/{id}/cancel", half.url());
        let cancelled = self.send(Method::POST, &path, None).await;
        assert_eq!(cancelled.status, 200, "{}", cancelled.json);
        assert_eq!(cancelled.json["status"], "cancelled");
    }

    /// Waits until every operation and its callback have ended, and checks how.
    pub(crate) async fn check_all(&mut self, deployment: &Deployment) {
        let ends_at = SystemClock.now() + END_MAX;
        let [first, second] = &deployment.halves;
        for failing in std::mem::take(&mut self.failing) {
            self.show_ended(&failing, first, ends_at).await;
            self.redrive_from_state(failing, first).await;
        }
        let mut ended = Vec::new();
        for accepted in &self.accepted {
            ended.push(self.show_ended(&accepted.id, first, ends_at).await);
        }
        let delivered = self.delivered();
        let mut broken = Vec::new();
        for (accepted, seen) in self.accepted.iter().zip(&ended) {
            let mut problems = accepted.problems(seen);
            let of_it = delivered.iter().filter(|(id, _)| *id == accepted.id);
            let statuses: Vec<_> = of_it.map(|(_, status)| status).collect();
            if statuses != [accepted.status] {
                let _ = write!(problems, " callbacks for {statuses:?}");
            }
            if self.show(&accepted.id, second).await != *seen {
                problems += " changed";
            }
            if !problems.is_empty() {
                broken.push(format!("{}:{problems}: {seen}", accepted.status));
            }
        }
        println!(
            "{} operations in {} rounds, {} redriven from a state, {} callbacks, {} broken",
            self.accepted.len(),
            self.rounds,
            self.redriven_from_state,
            self.receiver.received().len(),
            broken.len()
        );
        assert!(broken.is_empty(), "{broken:#?}");
        assert!(self.redriven_from_state > 0, "no state was redriven");
        for kind in [QueueKind::DispatchDeadLetter, QueueKind::CallbackDeadLetter] {
            assert!(deployment.queue(kind).is_empty().await, "{kind:?}");
        }
    }

    /// Operations and the statuses that callbacks reported of them.
    fn delivered(&self) -> HashSet<(String, String)> {
        let deliveries = self.receiver.received();
        let delivered = deliveries.iter().map(|delivery| {
            let data = delivery.verified()["data"].clone();
            let text = |name: &str| data[name].as_str().unwrap().to_owned();
            (text("operation_id"), text("status"))
        });
        delivered.collect()
    }

    async fn accept(&self, url: &str, body: Value) -> String {
        let path = format!("{url}/operations");
        let body = self.with_callback(body);
        let request = self.request(Method::POST, &path).body(body.to_string());
        let accepted = Self::response(request).await;
        assert_eq!(accepted.status, 202, "{}", accepted.json);
        id(&accepted.json)
    }

    fn with_callback(&self, mut body: Value) -> Value {
        body["callback_url"] = json!(self.receiver.url);
        body
    }

    async fn show(&self, id: &str, half: &Half) -> Value {
        let path = format!("{}/operations/{id}", half.url());
        let shown = self.send(Method::GET, &path, None).await;
        assert_eq!(shown.status, 200, "{}", shown.json);
        shown.json
    }

    /// Shows an operation when it and its callback have ended, or at `until`.
    async fn show_ended(&self, id: &str, half: &Half, until: Timestamp) -> Value {
        let mut seen = self.show(id, half).await;
        while !has_ended(&seen) && SystemClock.now() < until {
            tokio::time::sleep(PAUSE).await;
            seen = self.show(id, half).await;
        }
        seen
    }

    async fn send(&self, method: Method, url: &str, submit: Option<(&str, &Value)>) -> Response {
        let mut request = self.request(method, url);
        if let Some((key, body)) = submit {
            request = request
                .header("idempotency-key", key)
                .body(body.to_string());
        }
        Self::response(request).await
    }

    fn request(&self, method: Method, url: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, url);
        request.header("content-type", "application/json")
    }

    /// No check by the description of the API: the previous release's is another.
    async fn response(request: reqwest::RequestBuilder) -> Response {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let is_replay = response.headers().contains_key("idempotent-replayed");
        let text = response.text().await.unwrap();
        Response {
            status,
            is_replay,
            json: serde_json::from_str(&text).unwrap_or_default(),
        }
    }
}

impl Accepted {
    const fn of(id: String, status: &'static str) -> Self {
        Self {
            id,
            status,
            code: None,
            starts_later: false,
            legs: None,
            legs_before: 0,
        }
    }

    fn with_code(self, code: &'static str) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// What is wrong with its end.
    fn problems(&self, seen: &Value) -> String {
        let mut problems = String::new();
        if !has_ended(seen) || seen["status"] != self.status {
            problems += " another end";
        }
        if let Some(code) = self.code
            && seen["errors"][0]["code"] != code
        {
            problems += " another error";
        }
        if self.starts_later {
            let times = ["starts_at", "started_at"].map(|name| seen[name].as_str());
            match times {
                // Times have one format, so they compare as text.
                [Some(starts_at), Some(started_at)] if starts_at <= started_at => {}
                _ => problems += " did not begin at its start or later",
            }
        }
        if let Some(legs) = self.legs {
            let attempts = seen["attempts"].as_array().into_iter().flatten();
            let continued = attempts.filter(|attempt| attempt["outcome"] == "continued");
            let legs_here = continued.count() + 1;
            if seen["result"]["legs"] != legs || self.legs_before + legs_here != legs {
                problems += " did not continue from each state";
            }
        }
        problems
    }
}

/// Whether operation and callback have ended.
fn has_ended(operation: &Value) -> bool {
    let ended = ["completed", "failed", "cancelled"].map(Value::from);
    ended.contains(&operation["status"]) && operation["callback"]["status"] == "delivered"
}

fn id(operation: &Value) -> String {
    operation["id"].as_str().unwrap().to_owned()
}

/// Of the functions that the queues invoke, in each half.
fn invocations(deployment: &Deployment) -> Vec<u64> {
    let halves = deployment.halves.iter();
    let of_half = |half: &Half| ["worker", "callback"].map(|name| half.invocations(name));
    halves.flat_map(of_half).collect()
}
