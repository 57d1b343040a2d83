//! The wire between the SDK and AWS: counts every request and its charges, and injects faults.
//!
//! Faults are injected here, below the SDK, so that its own retries take part. Requests of all
//! processes are numbered in the order in which they are made, retries included, and a plan names
//! the numbers that fail. The wire carries out one request at a time, in that order, so a process
//! that makes several concurrently makes the same ones when it runs again.

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

/// A fault of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process crashes before it sends the request.
    CrashBefore,
    /// The request is carried out, and the process crashes before the response arrives.
    CrashAfter,
    /// The request is carried out, and the SDK sees a broken connection instead of the response.
    Lost,
    /// As [`Fault::Lost`], for every try of the call.
    AlwaysLost,
    /// The request is not carried out: AWS is too busy.
    Throttled,
    /// As [`Fault::Throttled`], for every try of the call.
    AlwaysThrottled,
    /// The request is not carried out: AWS does not allow it, and the SDK does not retry it.
    AccessDenied,
}

impl Fault {
    pub const ALL: [Self; 7] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::Lost,
        Self::AlwaysLost,
        Self::Throttled,
        Self::AlwaysThrottled,
        Self::AccessDenied,
    ];

    const fn is_repeated(self) -> bool {
        matches!(self, Self::AlwaysLost | Self::AlwaysThrottled)
    }

    /// Whether the process crashes, with everything that it does.
    #[must_use]
    pub const fn is_crash(self) -> bool {
        matches!(self, Self::CrashBefore | Self::CrashAfter)
    }
}

/// A service that the functions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `DynamoDB`.
    Store,
    /// SQS.
    Queues,
}

/// An outage of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Outage {
    pub service: Service,
    /// The fault of every request.
    pub fault: Fault,
    /// Affects only requests with this text in their body, such as those of an operation whose
    /// partition is throttled; empty for all requests.
    pub only: String,
}

/// What a process does besides its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    None,
    /// Work that continues without time passing.
    Runs,
    /// Work that waits for time to pass.
    Waits,
}

/// How far the clock is advanced when a process waits after a failed call: a worker's wait before
/// it repeats the call.
const WAIT: Duration = Duration::from_secs(1);

/// The name under which a message's acknowledgement is counted. Lambda sends it, not the process.
pub const ACKNOWLEDGEMENT: &str = "acknowledgement";

/// Clones are the same wire.
#[derive(Debug, Clone)]
pub struct Wire {
    inner: SharedHttpConnector,
    state: Arc<Mutex<State>>,
    /// Held by the request that is being carried out.
    turn: Arc<Turn<()>>,
    /// Wakes [`Wire::process`]: a request has ended in some way, or the work of the process has
    /// begun to wait.
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
    /// How many batch reads will leave the key of each of these operations unprocessed.
    unprocessed: BTreeMap<String, usize>,
    /// The number of the request that is delayed.
    delayed: Option<(usize, Arc<Delay>)>,
    /// The number of the request before which the process crashes.
    doomed: Option<usize>,
    /// The number of the next request since the plan was set.
    next: usize,
    /// Faults that repeat, by the SDK's id of the call.
    repeated: BTreeMap<String, Fault>,
    /// Calls in progress, by the SDK's ids of them, also between two tries.
    in_progress: BTreeSet<String>,
    dead: bool,
    /// A call has failed after all its tries, so the process may be waiting.
    failed: bool,
}

/// The delay of one request.
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
    /// The connector to pass to the SDK.
    #[must_use]
    pub fn connector(&self) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }

    /// Clears all counts.
    pub fn reset(&self) {
        let mut state = self.state();
        state.calls.clear();
        state.unconditional_writes = 0;
        state.charges.clear();
    }

    /// The charges of the requests since the last reset, in order.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        self.state().charges.clone()
    }

    /// The sum of [`Wire::charges`].
    #[must_use]
    pub fn units(&self) -> Units {
        self.state().charges.iter().map(|charge| charge.units).sum()
    }

    /// Records a message that was not received over this wire.
    pub fn received(&self, receipt_handle: &str, body: &str) {
        self.state().meter.received(receipt_handle, body);
    }

    /// The requests since the last reset, by their names in AWS's APIs.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// The number of unconditional writes to the store since the last reset. Deletes do not count:
    /// a payload item's key is never used again.
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

    /// Plans faults by the numbers of requests, in place of an earlier plan. The next request has
    /// the number 0.
    pub fn plan(&self, faults: impl IntoIterator<Item = (usize, Fault)>) {
        let mut state = self.state();
        state.plan = faults.into_iter().collect();
        state.next = 0;
        state.repeated.clear();
    }

    /// Sets the outages, in addition to the plan. They last until the next call.
    pub fn set_outages(&self, outages: &[Outage]) {
        self.state().outages = outages.to_vec();
    }

    /// Lets this many batch reads leave the key of this operation unprocessed, in addition to the
    /// plan, as DynamoDB does when the operation's partition is throttled.
    pub fn leave_unprocessed(&self, operation: &str, batches: usize) {
        let unprocessed = &mut self.state().unprocessed;
        unprocessed.insert(operation.to_owned(), batches);
    }

    /// Crashes the next process before its `n`-th request, from 0, in addition to the plan. Has no
    /// effect if the process makes fewer requests.
    pub fn crash_before(&self, n: usize) {
        let mut state = self.state();
        state.doomed = Some(state.next + n);
    }

    /// Delays the `n`-th request of a process, from 0 since the plan was set, until `meanwhile` has
    /// completed; in addition to the plan.
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

    /// Runs a future as a process; `None` when it crashed. The clock advances while it waits after
    /// a failed call.
    pub async fn process<T>(
        &self,
        clock: &ManualClock,
        process: impl Future<Output = T>,
    ) -> Option<T> {
        self.process_at_work(clock, process, || Work::None).await
    }

    /// As [`Wire::process`], for a process that also does other work. The clock also advances when
    /// `work` waits for it and no call is in progress.
    pub async fn process_at_work<T>(
        &self,
        clock: &ManualClock,
        process: impl Future<Output = T>,
        work: impl Fn() -> Work,
    ) -> Option<T> {
        {
            let mut state = self.state();
            state.failed = false;
            state.in_progress.clear();
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
            // The process has been polled since the event, and has neither ended nor made another
            // request.
            let mut state = self.state();
            if std::mem::take(&mut state.dead) {
                state.doomed = None;
                return None;
            }
            if !state.in_progress.is_empty() {
                continue;
            }
            match work() {
                Work::None if std::mem::take(&mut state.failed) => clock.advance(WAIT),
                Work::None | Work::Runs => {}
                Work::Waits => {
                    clock.advance(WAIT);
                    self.wake_process();
                }
            }
        }
    }

    /// Wakes [`Wire::process_at_work`], because the work has begun to wait or has ended.
    pub fn wake_process(&self) {
        self.happened.notify_one();
    }

    /// Whether an acknowledgement, which Lambda sends, is carried out.
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

    /// The delay of the next request, if it is delayed.
    fn delay(&mut self) -> Option<Arc<Delay>> {
        let is_next = |(n, _): &mut (usize, _)| *n == self.next;
        self.delayed.take_if(is_next).map(|(_, delay)| delay)
    }

    /// Removes from a batch read the keys that it must leave unprocessed, and returns what the
    /// response says about them.
    fn take_unprocessed(&mut self, request: &mut Value) -> Option<Value> {
        let tables = request.get_mut("RequestItems")?.as_object_mut()?;
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

    /// The fault of this request, if it has one.
    fn fault(&mut self, request: &HttpRequest) -> Option<Fault> {
        // A process that has crashed makes no other requests.
        if self.dead {
            return Some(Fault::CrashBefore);
        }
        let n = self.number(target(request));
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default());
        if matches!(target(request), "PutItem" | "UpdateItem")
            && !body.contains("\"ConditionExpression\"")
        {
            self.unconditional_writes += 1;
        }
        let call = header(request, "amz-sdk-invocation-id");
        self.in_progress.insert(call.to_owned());
        let planned = self.plan.remove(&n);
        if let Some(fault) = planned.filter(|fault| fault.is_repeated()) {
            self.repeated.insert(call.to_owned(), fault);
        }
        let doom = (self.doomed == Some(n)).then_some(Fault::CrashBefore);
        let affects = |outage: &&Outage| {
            service(request) == Some(outage.service) && body.contains(&outage.only)
        };
        let outage = self.outages.iter().find(affects);
        planned
            .or(doom)
            .or(outage.map(|outage| outage.fault))
            .or_else(|| self.repeated.get(call).copied())
    }
}

impl Wire {
    /// Carries out a request without a fault.
    async fn carry_out(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let Some(billed) = service(&request) else {
            return self.inner.call(request).await;
        };
        let target = header(&request, "x-amz-target").to_owned();
        let mut request_body: Value =
            serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let unprocessed = self.state().take_unprocessed(&mut request_body);
        if is_empty_batch(&request_body) {
            // The store would refuse an empty batch.
            let answer = json!({"Responses": {}, "UnprocessedKeys": unprocessed});
            return Ok(HttpResponse::new(
                200.try_into().unwrap(),
                SdkBody::from(answer.to_string()),
            ));
        }
        let request = if billed == Service::Store {
            meter::ask_for_capacity(&mut request_body);
            with_body(request, &request_body)
        } else {
            request
        };
        let mut response = self.inner.call(request).await?;
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        let bytes = ByteStream::new(body).collect().await.unwrap().into_bytes();
        // Some responses of the queues are empty.
        let mut answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let mut state = self.state();
        let status = response.status().as_u16();
        let charge = state.meter.charge(&target, &request_body, status, &answer);
        state.charges.extend(charge);
        *response.body_mut() = match unprocessed {
            None => SdkBody::from(bytes),
            Some(unprocessed) => {
                answer["UnprocessedKeys"] = unprocessed;
                let body = answer.to_string();
                let headers = response.headers_mut();
                headers.insert("content-length", body.len().to_string());
                // The checksum of the original response.
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
            Fault::CrashBefore => None,
            Fault::Throttled | Fault::AlwaysThrottled => Some(Ok(too_busy(&request))),
            Fault::AccessDenied => Some(Ok(denied())),
            Fault::CrashAfter | Fault::Lost | Fault::AlwaysLost => {
                let _ = self.carry_out(request).await;
                Some(Err(ConnectorError::io("the connection broke".into())))
            }
        };
        if fault.is_crash() {
            self.state().dead = true;
            self.wake_process();
            return std::future::pending().await;
        }
        answer.unwrap()
    }

    /// Records that a try of a call has been answered or has failed; `is_again` when the SDK will
    /// retry it.
    fn tried(&self, call: &str, is_again: bool, has_failed: bool) {
        let mut state = self.state();
        if !is_again {
            state.in_progress.remove(call);
            state.failed |= has_failed;
        }
        self.wake_process();
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

fn is_empty_batch(body: &Value) -> bool {
    let mut batches = body["RequestItems"].as_object().into_iter().flatten();
    batches.any(|(_, batch)| batch["Keys"] == json!([]))
}

/// The service of a request; `None` for any other.
fn service(request: &HttpRequest) -> Option<Service> {
    let target = header(request, "x-amz-target");
    match target.split(['_', '.']).next() {
        Some("DynamoDB") => Some(Service::Store),
        Some("AmazonSQS") => Some(Service::Queues),
        _ => None,
    }
}

/// The SDK sends the number of the try and the maximum, as in `attempt=2; max=3`.
fn is_last_try(request: &HttpRequest) -> bool {
    let mut numbers = header(request, "amz-sdk-request")
        .split("; ")
        .filter_map(|part| part.split_once('=')?.1.parse::<u32>().ok());
    numbers.next() >= numbers.next()
}

/// What each service answers when it is too busy.
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

/// What every service answers to a caller whose role does not allow the action.
fn denied() -> HttpResponse {
    refusal(400, "AccessDeniedException", "not authorized")
}

fn refusal(status: u16, code: &str, message: &str) -> HttpResponse {
    let body = json!({"__type": code, "message": message}).to_string();
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
}

/// Replaces the body. The local store checks no signature, so the signed body may change.
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
            let is_tried_again =
                fault.is_some_and(|fault| fault != Fault::AccessDenied) && !is_last_try;
            this.tried(&call, is_tried_again, fault.is_some());
            answer
        })
    }
}
