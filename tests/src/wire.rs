//! The wire between the SDK and AWS: counts every request and what it is billed as, and does to it what the test has planned.
//!
//! Faults are injected here, below the SDK, so that its own retries take part. Requests are numbered as they are made, whichever
//! process makes them, retries included; a plan names the numbers at which something goes wrong. They are carried out one at a
//! time and in that order, so that a process which makes several side by side makes the same ones when it is told again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::{Value, json};
use shared::aws::http_connector;
use shared::clock::ManualClock;
use shared::config::Environment;
use tokio::sync::{Mutex as Turn, Notify};

use crate::meter::{self, Charge, Meter, Units};

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before it has left.
    Unsent,
    /// It is carried out, and the process dies before the answer has come.
    Unheard,
    /// It is carried out, and the SDK learns of a broken connection instead of the answer.
    Lost,
    /// The same, and again whenever the SDK tries again.
    AlwaysLost,
    /// It is not carried out: AWS is too busy.
    Throttled,
    /// The same, and again whenever the SDK tries again.
    AlwaysThrottled,
    /// It is not carried out: AWS does not allow it, and the SDK does not try again.
    Refused,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 7] = [
        Self::Unsent,
        Self::Unheard,
        Self::Lost,
        Self::AlwaysLost,
        Self::Throttled,
        Self::AlwaysThrottled,
        Self::Refused,
    ];

    const fn is_repeated(self) -> bool {
        matches!(self, Self::AlwaysLost | Self::AlwaysThrottled)
    }

    /// Whether the process dies of it, with all else that it does.
    #[must_use]
    pub const fn is_deadly(self) -> bool {
        matches!(self, Self::Unsent | Self::Unheard)
    }
}

/// What the functions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `DynamoDB`.
    Store,
    /// SQS.
    Queues,
}

/// A service out of reach.
#[derive(Debug, Clone, PartialEq)]
pub struct Outage {
    /// Which.
    pub service: Service,
    /// What every request meets.
    pub fault: Fault,
    /// For requests with this in their body alone, as of an operation whose partition is throttled; empty for all requests.
    pub only: String,
}

/// What is going on in a process besides its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Nothing.
    None,
    /// Something that gets on by itself.
    GoesOn,
    /// Something that waits for time to pass.
    Waits,
}

/// How far time is moved when a process waits for better days: what a worker waits before it makes a call again.
const WAIT: Duration = Duration::from_secs(1);

/// The name under which the acknowledgement of a message is numbered, which is Lambda's doing and not a process's.
pub const ACKNOWLEDGEMENT: &str = "acknowledgement";

/// See the module. Clones are the same wire.
#[derive(Debug, Clone)]
pub struct Wire {
    inner: SharedHttpConnector,
    state: Arc<Mutex<State>>,
    /// Whose request is being carried out.
    turn: Arc<Turn<()>>,
    /// The process is to be looked at: a request of it has ended in some way, or its work has come to wait.
    happened: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    meter: Meter,
    charges: Vec<Charge>,
    calls: Vec<String>,
    unconditional_writes: usize,
    plan: BTreeMap<usize, Fault>,
    outages: Vec<Outage>,
    /// How many batch reads leave the key of each of these operations unprocessed.
    unprocessed: BTreeMap<String, usize>,
    /// The request that is on its way for longer than others.
    delayed: Option<(usize, Arc<Delay>)>,
    /// The request that the process does not live to make.
    doomed: Option<usize>,
    /// The number of the next request since the plan was made.
    next: usize,
    /// Faults that go on, by the SDK's id of the call.
    repeated: BTreeMap<String, Fault>,
    /// Calls that are under way, by the SDK's ids of them: between two tries as well.
    under_way: BTreeSet<String>,
    dead: bool,
    /// A call has failed for good, and the process may wait since.
    failed: bool,
}

/// Of one request.
#[derive(Debug, Default)]
struct Delay {
    begun: Notify,
    over: Notify,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            inner: http_connector(&Environment::default()).unwrap(),
            state: Arc::default(),
            turn: Arc::default(),
            happened: Arc::default(),
        }
    }
}

impl Wire {
    /// The connector to give to the SDK.
    #[must_use]
    pub fn connector(&self) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }

    /// Forgets what was counted.
    pub fn reset(&self) {
        let mut state = self.state();
        state.calls.clear();
        state.unconditional_writes = 0;
        state.charges.clear();
    }

    /// What the requests since the last reset are billed as, in their order.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        self.state().charges.clone()
    }

    /// The same, all together.
    #[must_use]
    pub fn units(&self) -> Units {
        self.state().charges.iter().map(|charge| charge.units).sum()
    }

    /// Takes note of a message that was received over no wire.
    pub fn received(&self, receipt_handle: &str, body: &str) {
        self.state().meter.received(receipt_handle, body);
    }

    /// The requests since the last reset, by their names in AWS's APIs.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// The writes to the store since the last reset that asked for no condition. Deletes are not among them: a payload is deleted by
    /// a name that no other write will use again.
    #[must_use]
    pub fn unconditional_writes(&self) -> usize {
        self.state().unconditional_writes
    }

    /// How often each request was made since the last reset.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.calls() {
            *counts.entry(call).or_default() += 1;
        }
        counts
    }

    /// What is to go wrong from now on, in place of what was planned before; the next request has the number 0.
    pub fn plan(&self, faults: impl IntoIterator<Item = (usize, Fault)>) {
        let mut state = self.state();
        state.plan = faults.into_iter().collect();
        state.next = 0;
        state.repeated.clear();
    }

    /// Besides what is planned: these last until this is said again, without them.
    pub fn suffer(&self, outages: &[Outage]) {
        self.state().outages = outages.to_vec();
    }

    /// Besides what is planned: so many batch reads leave the key of this operation unprocessed, as
    /// DynamoDB does when its partition is throttled.
    pub fn leave_unprocessed(&self, operation: &str, batches: usize) {
        let unprocessed = &mut self.state().unprocessed;
        unprocessed.insert(operation.to_owned(), batches);
    }

    /// Besides what is planned: the next process dies before its `n`-th request, from 0, if it comes to make it.
    pub fn doom(&self, n: usize) {
        let mut state = self.state();
        state.doomed = Some(state.next + n);
    }

    /// Besides what is planned: the `n`-th request of a process, from 0 since the plan was made, is on its way while something else
    /// happens.
    pub async fn delay<T, U>(
        &self,
        n: usize,
        process: impl Future<Output = T>,
        meanwhile: impl Future<Output = U>,
    ) -> (T, U) {
        let delay = Arc::new(Delay::default());
        self.state().delayed = Some((n, Arc::clone(&delay)));
        let meanwhile = async {
            delay.begun.notified().await;
            let outcome = meanwhile.await;
            delay.over.notify_one();
            outcome
        };
        futures_util::join!(process, meanwhile)
    }

    /// Runs something as a process of its own; `None` when it died. Time passes for one that waits for a failed call to be made
    /// again.
    pub async fn process<T>(
        &self,
        clock: &ManualClock,
        process: impl Future<Output = T>,
    ) -> Option<T> {
        self.process_at_work(clock, process, || Work::None).await
    }

    /// The same for one that does more than calls. Time passes as well whenever `work` waits for it and no call is under way.
    pub async fn process_at_work<T>(
        &self,
        clock: &ManualClock,
        process: impl Future<Output = T>,
        work: impl Fn() -> Work,
    ) -> Option<T> {
        {
            let mut state = self.state();
            state.failed = false;
            state.under_way.clear();
        }
        let mut process = std::pin::pin!(process);
        loop {
            tokio::select! {
                biased;
                outcome = &mut process => {
                    self.state().doomed = None;
                    return Some(outcome);
                }
                () = self.happened.notified() => {}
            }
            // The process has been polled since, and has neither ended nor made another request.
            let mut state = self.state();
            if std::mem::take(&mut state.dead) {
                state.doomed = None;
                return None;
            }
            if !state.under_way.is_empty() {
                continue;
            }
            match work() {
                Work::None if std::mem::take(&mut state.failed) => clock.advance(WAIT),
                Work::None | Work::GoesOn => {}
                Work::Waits => {
                    clock.advance(WAIT);
                    self.look_again();
                }
            }
        }
    }

    /// Has the process looked at, whose work has come to wait or has ended.
    pub fn look_again(&self) {
        self.happened.notify_one();
    }

    /// Whether an acknowledgement, a request of Lambda's own, is carried out.
    #[must_use]
    pub fn acknowledges(&self) -> bool {
        let mut state = self.state();
        let n = state.number(ACKNOWLEDGEMENT);
        state.plan.remove(&n).is_none()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn number(&mut self, name: &str) -> usize {
        let n = self.next;
        self.next += 1;
        self.calls.push(name.to_owned());
        n
    }

    /// Whether the next request is delayed.
    fn delay(&mut self) -> Option<Arc<Delay>> {
        let is_next = |(n, _): &mut (usize, _)| *n == self.next;
        self.delayed.take_if(is_next).map(|(_, delay)| delay)
    }

    /// Takes from a batch read the keys that it is to leave unprocessed; what its answer says of them.
    fn take_unprocessed(&mut self, asked: &mut Value) -> Option<Value> {
        let tables = asked.get_mut("RequestItems")?.as_object_mut()?;
        let mut unprocessed = json!({});
        for (table, batch) in tables {
            let Some(keys) = batch.get_mut("Keys").and_then(Value::as_array_mut) else {
                continue;
            };
            let mut is_left = |key: &mut Value| {
                let batches = self.unprocessed.get_mut(key["pk"]["S"].as_str()?)?;
                *batches = batches.checked_sub(1)?;
                Some(())
            };
            let left: Vec<_> = keys.extract_if(.., |key| is_left(key).is_some()).collect();
            if !left.is_empty() {
                unprocessed[table] = json!({"Keys": left});
            }
        }
        (unprocessed != json!({})).then_some(unprocessed)
    }

    /// What goes wrong with this request.
    fn fault(&mut self, request: &HttpRequest) -> Option<Fault> {
        // A process that has died at one request makes no others.
        if self.dead {
            return Some(Fault::Unsent);
        }
        let n = self.number(target(request));
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default());
        if matches!(target(request), "PutItem" | "UpdateItem")
            && !body.contains("\"ConditionExpression\"")
        {
            self.unconditional_writes += 1;
        }
        let call = header(request, "amz-sdk-invocation-id");
        self.under_way.insert(call.to_owned());
        let planned = self.plan.remove(&n);
        if let Some(fault) = planned.filter(|fault| fault.is_repeated()) {
            self.repeated.insert(call.to_owned(), fault);
        }
        let doom = (self.doomed == Some(n)).then_some(Fault::Unsent);
        let befalls = |outage: &&Outage| {
            service(request) == Some(outage.service) && body.contains(&outage.only)
        };
        let outage = self.outages.iter().find(befalls);
        planned
            .or(doom)
            .or(outage.map(|outage| outage.fault))
            .or_else(|| self.repeated.get(call).copied())
    }
}

impl Wire {
    /// What becomes of a request that the test has no other plans for.
    async fn carry_out(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let Some(billed) = service(&request) else {
            return self.inner.call(request).await;
        };
        let target = header(&request, "x-amz-target").to_owned();
        let mut asked: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let unprocessed = self.state().take_unprocessed(&mut asked);
        if is_empty_batch(&asked) {
            // The store would refuse it.
            let answer = json!({"Responses": {}, "UnprocessedKeys": unprocessed});
            return Ok(HttpResponse::new(
                200.try_into().unwrap(),
                SdkBody::from(answer.to_string()),
            ));
        }
        let request = if billed == Service::Store {
            meter::ask_for_capacity(&mut asked);
            with_body(request, &asked)
        } else {
            request
        };
        let mut response = self.inner.call(request).await?;
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        let bytes = ByteStream::new(body).collect().await.unwrap().into_bytes();
        // Some answers of the queues are empty.
        let mut answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let mut state = self.state();
        let status = response.status().as_u16();
        let charge = state.meter.charge(&target, &asked, status, &answer);
        state.charges.extend(charge);
        *response.body_mut() = match unprocessed {
            None => SdkBody::from(bytes),
            Some(unprocessed) => {
                answer["UnprocessedKeys"] = unprocessed;
                let body = answer.to_string();
                let headers = response.headers_mut();
                headers.insert("content-length", body.len().to_string());
                // It is of the answer as it came.
                headers.remove("x-amz-crc32");
                SdkBody::from(body)
            }
        };
        Ok(response)
    }

    async fn fail(
        &self,
        request: HttpRequest,
        fault: Fault,
    ) -> Result<HttpResponse, ConnectorError> {
        let answer = match fault {
            Fault::Unsent => None,
            Fault::Throttled | Fault::AlwaysThrottled => Some(Ok(too_busy(&request))),
            Fault::Refused => Some(Ok(denied())),
            Fault::Unheard | Fault::Lost | Fault::AlwaysLost => {
                let _ = self.carry_out(request).await;
                Some(Err(ConnectorError::io("the connection broke".into())))
            }
        };
        if fault.is_deadly() {
            self.state().dead = true;
            self.look_again();
            return std::future::pending().await;
        }
        answer.unwrap()
    }

    /// A try of a call has been answered, or has failed in a way that the SDK tries it again after.
    fn tried(&self, call: &str, is_again: bool, has_failed: bool) {
        let mut state = self.state();
        if !is_again {
            state.under_way.remove(call);
            state.failed |= has_failed;
        }
        self.look_again();
    }
}

fn header<'a>(request: &'a HttpRequest, name: &str) -> &'a str {
    request.headers().get(name).unwrap_or_default()
}

/// The last part of the request's target, such as `PutItem`.
fn target(request: &HttpRequest) -> &str {
    let target = header(request, "x-amz-target");
    target.rsplit('.').next().unwrap_or_default()
}

fn is_empty_batch(asked: &Value) -> bool {
    let mut batches = asked["RequestItems"].as_object().into_iter().flatten();
    batches.any(|(_, batch)| batch["Keys"] == json!([]))
}

/// Whom a request is for; `None` when it is neither.
fn service(request: &HttpRequest) -> Option<Service> {
    let target = header(request, "x-amz-target");
    match target.split(['_', '.']).next() {
        Some("DynamoDB") => Some(Service::Store),
        Some("AmazonSQS") => Some(Service::Queues),
        _ => None,
    }
}

/// The SDK says how often it has tried and will try, as in `attempt=2; max=3`.
fn is_last_try(request: &HttpRequest) -> bool {
    let mut numbers = header(request, "amz-sdk-request")
        .split("; ")
        .filter_map(|part| part.split_once('=')?.1.parse::<u32>().ok());
    numbers.next() >= numbers.next()
}

/// What each service answers then.
fn too_busy(request: &HttpRequest) -> HttpResponse {
    let (status, code) = match service(request) {
        Some(Service::Store) => (
            400_u16,
            "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        ),
        Some(Service::Queues) => (503, "com.amazonaws.sqs#ServiceUnavailable"),
        None => (400, "ThrottlingException"),
    };
    refusal(status, code, "too busy")
}

/// What every service answers to a caller whose role does not name the action.
fn denied() -> HttpResponse {
    refusal(400, "AccessDeniedException", "not authorized")
}

fn refusal(status: u16, code: &str, message: &str) -> HttpResponse {
    let body = json!({"__type": code, "message": message}).to_string();
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
}

/// The local store checks no signature, so the wire may change what was signed.
fn with_body(mut request: HttpRequest, body: &Value) -> HttpRequest {
    let body = body.to_string();
    request
        .headers_mut()
        .insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body);
    request
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let delay = self.state().delay();
        let fault = self.state().fault(&request);
        let call = header(&request, "amz-sdk-invocation-id").to_owned();
        let is_last_try = is_last_try(&request);
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            if let Some(delay) = delay {
                delay.begun.notify_one();
                delay.over.notified().await;
            }
            let turn = this.turn.lock().await;
            let answer = match fault {
                None => this.carry_out(request).await,
                Some(fault) => this.fail(request, fault).await,
            };
            drop(turn);
            let is_tried_again = fault.is_some_and(|fault| fault != Fault::Refused) && !is_last_try;
            this.tried(&call, is_tried_again, fault.is_some());
            answer
        })
    }
}
