//! The charges of AWS for a request to the store or to a queue, and what the request was for.
//!
//! Units are those that DynamoDB reports as consumed. Two charges are not reported, and come from
//! AWS's documentation: a refused conditional write consumes the size of the item that it met, at
//! least one unit (Amazon DynamoDB Developer Guide, "Condition expressions"); and SQS bills each 64
//! KB of payload as a request (Amazon SQS pricing). Both are computed from the request and its
//! response.

use std::collections::HashMap;
use std::fmt;
use std::ops::AddAssign;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// The payload that one billed SQS request may carry, in bytes.
const QUEUE_REQUEST_BYTES: usize = 64 * 1024;
/// What one write unit may write, in bytes.
const WRITE_UNIT_BYTES: usize = 1024;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Units {
    /// Write request units of the table.
    pub writes: f64,
    /// Write request units of its index.
    pub index_writes: f64,
    /// Read request units of table and index.
    pub reads: f64,
    /// SQS requests.
    pub queue_requests: u32,
}

impl AddAssign for Units {
    fn add_assign(&mut self, other: Self) {
        self.writes += other.writes;
        self.index_writes += other.index_writes;
        self.reads += other.reads;
        self.queue_requests += other.queue_requests;
    }
}

impl std::iter::Sum for Units {
    fn sum<I: Iterator<Item = Self>>(charges: I) -> Self {
        charges.fold(Self::default(), |mut sum, charge| {
            sum += charge;
            sum
        })
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.writes, "write"),
            (self.index_writes, "index write"),
            (self.reads, "read"),
            (f64::from(self.queue_requests), "message request"),
        ];
        let billed = parts.iter().filter(|(units, _)| *units > 0.0);
        let billed: Vec<_> = billed.map(|(units, of)| format!("{units} {of}")).collect();
        f.write_str(&billed.join(", "))
    }
}

/// The charge of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// What the request was for: a step of an operation, or a call before or after one.
    pub step: &'static str,
    /// The request's name in AWS's API.
    pub call: String,
    /// The ids of the operations that it was for; empty when the request does not show them.
    pub operations: Vec<String>,
    /// Whether it was a write whose condition failed.
    pub is_refused: bool,
    pub units: Units,
}

impl fmt::Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = if self.is_refused { " refused" } else { "" };
        write!(f, "{}{refused}: {}", self.step, self.units)
    }
}

/// Computes charges from requests and responses.
#[derive(Debug, Default)]
pub struct Meter {
    /// The operation of each received message, by its receipt handle: a visibility change or a
    /// delete names only the handle.
    receipts: HashMap<String, String>,
}

/// Makes the store report what a request consumes. The functions do not ask for it, since the
/// response grows by it and no function reads it.
pub fn ask_for_capacity(request: &mut Value) {
    request["ReturnConsumedCapacity"] = Value::from("INDEXES");
}

impl Meter {
    /// The charge of a request to `target`, such as `DynamoDB_20120810.PutItem`, with this
    /// response. `None` when it is not billed: for any error except a failed condition.
    pub fn charge(
        &mut self,
        target: &str,
        request: &Value,
        status: u16,
        response: &Value,
    ) -> Option<Charge> {
        let (service, call) = target.split_once('.')?;
        let kind = response["__type"].as_str().unwrap_or_default();
        let is_refused = kind.ends_with("ConditionalCheckFailedException");
        if status >= 400 && !is_refused {
            return None;
        }
        let (step, operations, units) = if service == "AmazonSQS" {
            self.messages(call, request, response)
        } else {
            let units = if is_refused {
                refused(request, response)
            } else {
                consumed(call, response)
            };
            (store_step(call, request), store_operations(request), units)
        };
        Some(Charge {
            step,
            call: call.to_owned(),
            operations,
            is_refused,
            units,
        })
    }

    /// Records a received message.
    pub fn received(&mut self, receipt_handle: &str, body: &str) {
        if let Some(id) = operation_of(body) {
            self.receipts.insert(receipt_handle.to_owned(), id);
        }
    }

    fn messages(
        &mut self,
        call: &str,
        request: &Value,
        response: &Value,
    ) -> (&'static str, Vec<String>, Units) {
        let received = list(&response["Messages"]);
        for message in received {
            let (handle, body) = (&message["ReceiptHandle"], &message["Body"]);
            self.received(
                handle.as_str().unwrap_or_default(),
                body.as_str().unwrap_or_default(),
            );
        }
        // A request that is not a batch has a single entry.
        let entries = match list(&request["Entries"]) {
            [] => std::slice::from_ref(request),
            entries => entries,
        };
        let bodies = entries.iter().map(|entry| &entry["MessageBody"]);
        let bodies = bodies.chain(received.iter().map(|message| &message["Body"]));
        let bodies: Vec<_> = bodies.filter_map(Value::as_str).collect();
        let handles = entries
            .iter()
            .filter_map(|entry| entry["ReceiptHandle"].as_str());
        let of_handles = handles.filter_map(|handle| self.receipts.get(handle).cloned());
        let of_bodies = bodies.iter().filter_map(|body| operation_of(body));
        let payload_bytes: usize = bodies.iter().map(|body| body.len()).sum();
        let step = match call {
            "SendMessage" | "SendMessageBatch" => {
                if bodies.iter().any(|body| body.contains("\"function\"")) {
                    "dispatch"
                } else {
                    "wake callback"
                }
            }
            "ChangeMessageVisibility" | "ChangeMessageVisibilityBatch" => "change visibility",
            "ReceiveMessage" if received.is_empty() => "poll an empty queue",
            "ReceiveMessage" => "receive",
            "DeleteMessage" | "DeleteMessageBatch" => "acknowledge",
            _ => "other",
        };
        let requests = payload_bytes.div_ceil(QUEUE_REQUEST_BYTES).max(1);
        let units = Units {
            queue_requests: u32::try_from(requests).unwrap_or(u32::MAX),
            ..Units::default()
        };
        (step, of_handles.chain(of_bodies).collect(), units)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn operation_of(body: &str) -> Option<String> {
    let body: Value = serde_json::from_str(body).ok()?;
    body["operation_id"].as_str().map(str::to_owned)
}

/// As DynamoDB's response reports it.
fn consumed(call: &str, response: &Value) -> Units {
    let several = match &response["ConsumedCapacity"] {
        Value::Array(several) => several.as_slice(),
        one => std::slice::from_ref(one),
    };
    let units = |of: &Value| {
        of["CapacityUnits"]
            .as_f64()
            .unwrap_or_else(|| panic!("{call} does not say what it consumed: {response}"))
    };
    let total: f64 = several.iter().map(units).sum();
    let indexes = several
        .iter()
        .filter_map(|one| one["GlobalSecondaryIndexes"].as_object());
    let index: f64 = indexes.flat_map(Map::values).map(units).sum();
    if matches!(call, "GetItem" | "BatchGetItem" | "Query" | "Scan") {
        return Units {
            reads: total,
            ..Units::default()
        };
    }
    Units {
        writes: total - index,
        index_writes: index,
        ..Units::default()
    }
}

/// By the size of the item that was met. The response has it where a write asks for it, as every
/// write of a head does. A payload item can only meet itself.
fn refused(request: &Value, response: &Value) -> Units {
    let met = response["Item"].as_object();
    let item = met.or_else(|| request["Item"].as_object());
    let bytes: usize = item
        .into_iter()
        .flatten()
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum();
    let units = bytes.div_ceil(WRITE_UNIT_BYTES).max(1);
    Units {
        writes: f64::from(u32::try_from(units).unwrap_or(u32::MAX)),
        ..Units::default()
    }
}

/// "DynamoDB item sizes and formats" in the Amazon DynamoDB Developer Guide.
fn value_bytes(value: &Value) -> usize {
    match value.as_object().and_then(|typed| typed.iter().next()) {
        Some((kind, Value::String(text))) => match kind.as_str() {
            "N" => text.len().div_ceil(2) + 1,
            "B" => STANDARD.decode(text).map_or(0, |bytes| bytes.len()),
            _ => text.len(),
        },
        _ => 1,
    }
}

fn store_operations(request: &Value) -> Vec<String> {
    let keys = [&request["Key"], &request["Item"]];
    let batch = request["RequestItems"].as_object();
    let batch = batch
        .into_iter()
        .flat_map(Map::values)
        .flat_map(|table| list(&table["Keys"]));
    keys.into_iter()
        .chain(batch)
        .filter_map(|key| key["pk"]["S"].as_str())
        .map(str::to_owned)
        .collect()
}

fn store_step(call: &str, request: &Value) -> &'static str {
    let key = if call == "PutItem" { "Item" } else { "Key" };
    let is_head = request[key]["sk"]["S"] == "head";
    match call {
        "PutItem" if is_head => "create",
        "PutItem" => "write payload",
        "GetItem" if is_head => "read",
        "GetItem" => "read payload",
        "BatchGetItem" => "read listed",
        "Query" if request["IndexName"].is_string() => "list",
        "Query" => "list items",
        "DeleteItem" => "delete payload",
        "UpdateItem" => update_step(request),
        _ => "other",
    }
}

/// By the attributes that it sets, after which the placeholders are named.
fn update_step(request: &Value) -> &'static str {
    let values = &request["ExpressionAttributeValues"];
    let sets = |attribute: &str| values.get(format!(":to_{attribute}")).is_some();
    match values[":to_status"]["S"].as_str() {
        Some("processing") if sets("claim_id") => "claim",
        Some("processing") if sets("state_attempt") => "continue",
        Some("processing") => "retry",
        Some("completed") => "complete",
        // A holder sends its claim id; a worker that gives up has none.
        Some("failed") if values.get(":claim_id").is_some() => "fail",
        Some("failed") => "give up",
        Some("cancelled") => "cancel",
        _ if sets("erased_at") => "erase",
        _ if sets("callback_attempts") => "record attempt",
        _ if sets("callback_status") => "start round",
        _ if sets("progress") => "progress",
        _ if sets("lease_until") => "heartbeat",
        _ => "other",
    }
}
