//! The AWS calls of the function that `CALLS` names, one after the other.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use shared::aws::{Aws, http_connector};
use shared::clock::{Clock as _, SystemClock};
use shared::config::Environment;
use shared::domain::id::{ClaimId, CreateId, DeliveryAttemptId, OperationId};
use shared::random::{Random, SystemRandom};

/// How long a head is kept, in seconds.
const KEPT_SECS: i64 = 86_400;
/// An attempt at a callback, as it is stored.
const ATTEMPTS: &str = r#"[{"at":1800000000000,"status":200,"ms":1}]"#;

struct Calls {
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    /// Only for `callback`.
    http: Option<reqwest::Client>,
    table: String,
    dispatch_queue: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let environment = Environment::from_process();
    let function = environment.required("CALLS")?.to_owned();
    let aws = Aws::new(&environment, http_connector(&environment)?)?;
    let calls = Arc::new(Calls {
        dynamodb: aws.dynamodb(),
        sqs: aws.sqs(),
        http: (function == "callback").then(http_client).transpose()?,
        table: environment.required("TABLE_NAME")?.to_owned(),
        dispatch_queue: environment.required("DISPATCH_QUEUE_URL")?.to_owned(),
    });
    // Opens the same connections at the start as the function does.
    if matches!(function.as_str(), "submit" | "worker") {
        tokio::join!(aws.connect_to_store(), aws.connect_to_queues());
    } else {
        aws.connect_to_store().await;
    }
    let function: &'static str = function.leak();
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let calls = Arc::clone(&calls);
        async move {
            match function {
                "submit" => calls.submit(&event.payload).await,
                "status" => calls.status(&event.payload).await,
                "worker" => calls.worker(&event.payload).await,
                _ => calls.callback(&event.payload).await,
            }
        }
    }))
    .await
}

/// The client of the callback sender, without its check of addresses.
fn http_client() -> Result<reqwest::Client, Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()?)
}

impl Calls {
    async fn submit(&self, event: &Value) -> Result<Value, Error> {
        let body: Value = serde_json::from_str(text(&event["body"]))?;
        let random: &dyn Random = &SystemRandom;
        let id = OperationId::from_bytes(random.bytes()).to_string();
        let create_id = CreateId::from_bytes(random.bytes()).as_str().to_owned();
        let function = text(&body["function"]);
        let message = json!({
            "format": 1, "operation_id": id, "create_id": create_id, "function": function,
            "function_version": "1.0.0",
        });
        let sent = self.sqs.send_message().queue_url(&self.dispatch_queue);
        sent.message_body(message.to_string()).send().await?;
        let now = SystemClock.now();
        let mut head = head_key(&id);
        let mut put = |name: &str, value| head.insert(name.to_owned(), value);
        put("format", n(1));
        put("status", s("pending"));
        put("lock_version", n(1));
        put("create_id", s(&create_id));
        put("owner", s("local:bench"));
        put("function", s(function));
        put("function_version", s("1.0.0"));
        put("attempt", n(0));
        put("attempts_max", n(3));
        put("created_at", n(now.as_millis()));
        put("updated_at", n(now.as_millis()));
        put("deadline_at", n(now.as_millis() + 3_600_000));
        put("delete_at", n(now.as_secs() + KEPT_SECS));
        put("retention_secs", n(KEPT_SECS));
        put("arguments", s(&body["arguments"].to_string()));
        if let Some(url) = body["callback_url"].as_str() {
            put("callback_url", s(url));
        }
        self.dynamodb
            .put_item()
            .table_name(&self.table)
            .set_item(Some(head))
            .condition_expression(
                "attribute_not_exists(#pk) OR (#create_id <> :own AND \
                 ((attribute_not_exists(#erased_at) AND #delete_at <= :expired) OR \
                 #erased_at <= :now))",
            )
            .expression_attribute_names("#pk", "pk")
            .expression_attribute_names("#create_id", "create_id")
            .expression_attribute_names("#delete_at", "delete_at")
            .expression_attribute_names("#erased_at", "erased_at")
            .expression_attribute_values(":own", s(&create_id))
            .expression_attribute_values(":expired", n(now.as_secs()))
            .expression_attribute_values(":now", n(now.as_millis()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await?;
        Ok(json!({"statusCode": 202, "body": json!({"id": id}).to_string()}))
    }

    async fn status(&self, event: &Value) -> Result<Value, Error> {
        let head = self.read(text(&event["pathParameters"]["id"])).await?;
        let status = head.get("status").and_then(|status| status.as_s().ok());
        Ok(json!({"statusCode": 200, "body": json!({"status": status}).to_string()}))
    }

    async fn worker(&self, event: &Value) -> Result<Value, Error> {
        let record = &event["Records"][0];
        let message: Value = serde_json::from_str(text(&record["body"]))?;
        let id = text(&message["operation_id"]);
        self.sqs
            .change_message_visibility()
            .queue_url(&self.dispatch_queue)
            .receipt_handle(text(&record["receiptHandle"]))
            .visibility_timeout(60)
            .send()
            .await?;
        let now = SystemClock.now();
        let random: &dyn Random = &SystemRandom;
        let claim_id = ClaimId::from_bytes(random.bytes());
        let head = self
            .step(id)
            .condition_expression(
                "#format <= :format AND #delete_at > :expired AND \
                 attribute_not_exists(#erased_at) AND \
                 (#status = :pending OR (#status = :processing AND #lease_until <= :now)) AND \
                 #create_id = :create_id AND #attempt < #attempts_max AND #deadline_at > :now",
            )
            .update_expression(
                "SET #status = :to_status, #lock_version = #lock_version + :one, \
                #updated_at = :now, #attempt = #attempt + :one, #claim_id = :claim_id, \
                #lease_until = :lease_until, #started_at = if_not_exists(#started_at, :now)",
            )
            .expression_attribute_names("#attempt", "attempt")
            .expression_attribute_names("#attempts_max", "attempts_max")
            .expression_attribute_names("#create_id", "create_id")
            .expression_attribute_names("#deadline_at", "deadline_at")
            .expression_attribute_names("#started_at", "started_at")
            .expression_attribute_values(":create_id", s(text(&message["create_id"])))
            .expression_attribute_values(":pending", s("pending"))
            .expression_attribute_values(":processing", s("processing"))
            .expression_attribute_values(":to_status", s("processing"))
            .expression_attribute_values(":now", n(now.as_millis()))
            .expression_attribute_values(":expired", n(now.as_secs()))
            .expression_attribute_values(":claim_id", s(claim_id.as_str()))
            .expression_attribute_values(":lease_until", n(now.as_millis() + 60_000))
            .send()
            .await?
            .attributes
            .unwrap_or_default();
        let arguments = head
            .get("arguments")
            .and_then(|arguments| arguments.as_s().ok());
        self.step(id)
            .condition_expression(
                "#format <= :format AND #delete_at > :expired AND \
                 attribute_not_exists(#erased_at) AND \
                #status = :processing AND #claim_id = :claim_id AND #lock_version = :lock_version",
            )
            .update_expression(
                "SET #status = :to_status, #lock_version = #lock_version + :one, \
                #updated_at = :now, #ended_at = :now, #delete_at = #retention_secs + :expired, \
                #result = :result, #progress = :one, #progress_at = :now \
                REMOVE #lease_until, #last_error",
            )
            .expression_attribute_names("#ended_at", "ended_at")
            .expression_attribute_names("#last_error", "last_error")
            .expression_attribute_names("#progress", "progress")
            .expression_attribute_names("#progress_at", "progress_at")
            .expression_attribute_names("#result", "result")
            .expression_attribute_names("#retention_secs", "retention_secs")
            .expression_attribute_values(":processing", s("processing"))
            .expression_attribute_values(":to_status", s("completed"))
            .expression_attribute_values(":now", n(now.as_millis()))
            .expression_attribute_values(":expired", n(now.as_secs()))
            .expression_attribute_values(":claim_id", s(claim_id.as_str()))
            .expression_attribute_values(":lock_version", n(2))
            .expression_attribute_values(":result", s(arguments.map_or("{}", String::as_str)))
            .send()
            .await?;
        Ok(json!({"batchItemFailures": []}))
    }

    async fn callback(&self, event: &Value) -> Result<Value, Error> {
        let record = &event["Records"][0];
        let message: Value = serde_json::from_str(text(&record["body"]))?;
        let id = text(&message["operation_id"]);
        let head = self.read(id).await?;
        let stored = |name: &str| head.get(name).and_then(|value| value.as_s().ok());
        let result: Value = serde_json::from_str(stored("result").map_or("{}", String::as_str))?;
        let random: &dyn Random = &SystemRandom;
        let attempt_id = DeliveryAttemptId::from_bytes(random.bytes());
        let now = SystemClock.now();
        if let (Some(http), Some(url)) = (&self.http, stored("callback_url")) {
            let body = json!({
                "type": "forrst.operation.completed",
                "timestamp": now.as_millis(),
                "data": {"operation_id": id, "status": "completed", "result": result},
            });
            let posted = http.post(url).header("content-type", "application/json");
            posted.body(body.to_string()).send().await?;
        }
        self.update(id)
            .condition_expression(
                "#format <= :format AND #delete_at > :expired AND \
                 attribute_not_exists(#erased_at) AND \
                #create_id = :create_id AND attribute_not_exists(#callback_attempts_made)",
            )
            .update_expression(
                "SET #callback_attempts = :attempts, #callback_attempts_made = :one, \
                #callback_round_attempts = :one, #callback_attempt_id = :attempt_id, \
                #callback_status = :delivered REMOVE #callback_next_at",
            )
            .expression_attribute_names("#callback_attempts", "callback_attempts")
            .expression_attribute_names("#callback_attempts_made", "callback_attempts_made")
            .expression_attribute_names("#callback_round_attempts", "callback_round_attempts")
            .expression_attribute_names("#callback_attempt_id", "callback_attempt_id")
            .expression_attribute_names("#callback_status", "callback_status")
            .expression_attribute_names("#callback_next_at", "callback_next_at")
            .expression_attribute_names("#create_id", "create_id")
            .expression_attribute_values(":create_id", s(text(&message["create_id"])))
            .expression_attribute_values(":expired", n(now.as_secs()))
            .expression_attribute_values(":attempts", s(ATTEMPTS))
            .expression_attribute_values(":attempt_id", s(attempt_id.as_str()))
            .expression_attribute_values(":delivered", s("delivered"))
            .send()
            .await?;
        Ok(json!({"batchItemFailures": []}))
    }

    async fn read(&self, id: &str) -> Result<HashMap<String, AttributeValue>, Error> {
        let read = self.dynamodb.get_item().table_name(&self.table);
        let read = read.set_key(Some(head_key(id))).consistent_read(true);
        Ok(read.send().await?.item.unwrap_or_default())
    }
}

impl Calls {
    /// An update of a head, with the names and values that all updates use.
    fn update(&self, id: &str) -> UpdateItemFluentBuilder {
        let update = self.dynamodb.update_item().table_name(&self.table);
        let mut update = update
            .set_key(Some(head_key(id)))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .expression_attribute_values(":format", n(1))
            .expression_attribute_values(":one", n(1));
        for name in ["format", "delete_at", "erased_at"] {
            update = update.expression_attribute_names(format!("#{name}"), name);
        }
        update
    }

    /// An update of a head that changes its state.
    fn step(&self, id: &str) -> UpdateItemFluentBuilder {
        let mut update = self.update(id);
        for name in [
            "status",
            "lock_version",
            "updated_at",
            "claim_id",
            "lease_until",
        ] {
            update = update.expression_attribute_names(format!("#{name}"), name);
        }
        update
    }
}

fn head_key(id: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([("pk".to_owned(), s(id)), ("sk".to_owned(), s("head"))])
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
