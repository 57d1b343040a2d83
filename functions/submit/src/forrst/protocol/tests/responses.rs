//! Responses.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{
    AsyncData, CancelView, DeadlineData, Echo, ErrorObject, Errors, ForrstResponse,
    IdempotencyData, StatusView, TracingData, WebhookData,
};
use super::{NOW, body, envelope, operation, read, with_extension};
use shared::domain::callback::SignatureVersion;
use shared::domain::id::ClaimId;
use shared::domain::json::Json;
use shared::domain::operation::{Operation, OperationError, Payload, Progress, State};
use shared::http::{Problem, Response};
use shared::request::{ErrorCode, FieldError};
use shared::store::Payloads;

const TOOK: Duration = Duration::from_millis(12);

fn echo(id: &str) -> Echo {
    Echo {
        id: Some(id.to_owned()),
        ..Echo::default()
    }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.get(name).map(String::as_str)
}

#[test]
fn a_result_is_sent_as_it_was_stored() {
    let result = r#"{"b":1.0e5,"a":9007199254740993}"#.parse::<Json>().unwrap();
    let response = ForrstResponse::result(echo("req_1"), result).into_http_response(TOOK);
    assert_eq!(
        response.body,
        concat!(
            r#"{"protocol":{"name":"forrst","version":"0.1.0"},"id":"req_1","#,
            r#""result":{"b":1.0e5,"a":9007199254740993}}"#
        )
    );
    assert_eq!(response.status, 200);
    assert_eq!(header(&response, "content-type"), Some("application/json"));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(header(&response, "x-forrst-request-id"), Some("req_1"));
    assert_eq!(header(&response, "x-forrst-duration-ms"), Some("12"));
}

#[test]
fn an_id_that_a_header_cannot_carry_is_only_in_the_body() {
    for (id, carried) in [("a b", true), (" a", false), ("a\n", false), ("é", false)] {
        let response = ForrstResponse::null(echo(id)).into_http_response(TOOK);
        assert_eq!(body(&response)["id"], id);
        assert_eq!(
            header(&response, "x-forrst-request-id"),
            carried.then_some(id)
        );
    }
    let response = ForrstResponse::null(Echo::default()).into_http_response(TOOK);
    assert_eq!(body(&response)["id"], Value::Null);
    assert_eq!(header(&response, "x-forrst-request-id"), None);
}

#[test]
fn problems_become_errors_with_their_status_and_headers() {
    for (problem, status, name, value) in [
        (
            Problem::method_not_allowed("POST"),
            405,
            "allow",
            Some("POST"),
        ),
        (Problem::too_large(1), 413, "allow", None),
        (Problem::unsupported_type("no"), 415, "allow", None),
        (Problem::unavailable(), 503, "retry-after", Some("1")),
        (
            Problem::new(ErrorCode::Unauthorized, "who?"),
            401,
            "retry-after",
            None,
        ),
        (
            Problem::new(ErrorCode::AsyncCannotCancel, "too late"),
            400,
            "allow",
            None,
        ),
    ] {
        let word = problem.code.as_str();
        let response = ForrstResponse::errors(Echo::default(), problem).into_http_response(TOOK);
        assert_eq!(response.status, status);
        assert_eq!(header(&response, name), value);
        let body = body(&response);
        assert_eq!(body["result"], Value::Null);
        assert_eq!(body["errors"][0]["code"], word);
    }
}

#[test]
fn wrong_fields_become_errors_with_their_pointers() {
    let field = |member: &str| FieldError::new(format!("/call/arguments/{member}"), "is odd");
    let one = Errors::from(Problem::fields(vec![field("a")]));
    assert_eq!(one.status(), 400);
    assert_eq!(
        serde_json::to_value(one.as_slice()).unwrap(),
        json!([{
            "code": "INVALID_ARGUMENTS",
            "message": "/call/arguments/a is odd",
            "source": {"pointer": "/call/arguments/a"},
        }])
    );
    let two = Errors::from(Problem::fields(vec![field("a"), field("b")]));
    assert_eq!(two.as_slice().len(), 2);
}

#[test]
fn a_failed_operation_answers_with_the_status_of_its_code() {
    let error = |code: &str| OperationError::new(code, "no", "[1]".parse::<Json>().ok());
    for (errors, status) in [
        (vec![error("ORDERS_SOLD_OUT")], 400),
        (vec![error("DEADLINE_EXCEEDED")], 408),
        (vec![error("DEPENDENCY_ERROR")], 502),
        (vec![error("DEPENDENCY_ERROR"), error("WORKER_LOST")], 400),
        (vec![], 500),
    ] {
        assert_eq!(Errors::of_operation(&errors).status(), status, "{errors:?}");
    }
    let errors = Errors::of_operation(&[error("ORDERS_SOLD_OUT")]);
    assert_eq!(
        serde_json::to_value(errors.as_slice()).unwrap(),
        json!([{"code": "ORDERS_SOLD_OUT", "message": "no", "details": [1]}])
    );
}

#[test]
fn only_errors_that_a_retry_can_overcome_say_how_to_retry() {
    let spelled = read(&envelope()).echo;
    let retry = |codes: &[ErrorCode]| {
        let errors: Vec<_> = codes
            .iter()
            .map(|code| OperationError::new(code.as_str(), "no", None))
            .collect();
        let errors = Errors::of_operation(&errors);
        let response = ForrstResponse::errors(spelled.clone(), errors).into_http_response(TOOK);
        body(&response)["extensions"].clone()
    };
    let after = |value: u64| json!({"value": value, "unit": "second"});
    let exponential = |secs, max_attempts: u32| {
        json!({
            "allowed": true, "strategy": "exponential", "after": after(secs),
            "max_attempts": max_attempts,
        })
    };
    for (code, data) in [
        (
            ErrorCode::RateLimited,
            json!({"allowed": true, "strategy": "fixed", "after": after(60), "max_attempts": 3}),
        ),
        (ErrorCode::Unavailable, exponential(1, 5)),
        (
            ErrorCode::DeadlineExceeded,
            json!({"allowed": true, "strategy": "immediate", "max_attempts": 1}),
        ),
        (ErrorCode::InternalError, exponential(1, 3)),
        (ErrorCode::DependencyError, exponential(2, 3)),
    ] {
        let urn = "urn:cline:forrst:ext:retry";
        assert_eq!(retry(&[code]), json!([{"urn": urn, "data": data}]));
    }
    let retryable: Vec<_> = ErrorCode::ALL
        .into_iter()
        .filter(|code| !retry(&[*code]).is_null())
        .collect();
    assert_eq!(retryable.len(), 5, "{retryable:?}");
    assert_eq!(
        retry(&[ErrorCode::InternalError, ErrorCode::InvalidArguments]),
        Value::Null
    );
}

#[test]
fn extensions_are_answered_in_order_and_as_spelled() {
    let mut pending = operation(State::Pending);
    let parsed = read(&envelope());
    let options = parsed.echo.tracing.clone().unwrap().options;
    let respond = |operation: &Operation| {
        ForrstResponse::null(parsed.echo.clone())
            .with(TracingData::new(&options.trace_id, "span_2", TOOK))
            .with(AsyncData::new(operation, NOW))
            .into_http_response(TOOK)
    };
    let id = pending.id.as_str().to_owned();
    let poll = json!({
        "function": "urn:cline:forrst:ext:async:fn:status",
        "version": "1.0.0",
        "arguments": {"operation_id": id},
    });
    assert_eq!(
        body(&respond(&pending)),
        json!({
            "protocol": {"name": "forrst", "version": "0.1.0"},
            "id": "req_1",
            "result": null,
            "extensions": [
                {"urn": "urn:forrst:ext:tracing", "data": {
                    "trace_id": "trace",
                    "span_id": "span_2",
                    "duration": {"value": 12, "unit": "millisecond"},
                }},
                {"urn": "urn:cline:forrst:ext:async", "data": {
                    "operation_id": id,
                    "status": "pending",
                    "poll": poll,
                    "retry_after": {"value": 5, "unit": "second"},
                }},
            ],
        })
    );
    pending.state = State::Cancelled { at: NOW };
    pending.started_at = Some(NOW);
    pending.progress = Some(Progress {
        fraction: 0.5,
        message: None,
        at: NOW,
    });
    let data = &body(&respond(&pending))["extensions"][1]["data"];
    assert_eq!(
        *data,
        json!({
            "operation_id": id,
            "status": "cancelled",
            "poll": poll,
            "progress": 0.5,
            "started_at": NOW.to_string(),
        })
    );
}

#[test]
fn a_webhook_is_confirmed_in_the_callers_spelling() {
    let url = "https://example.com/?token=1";
    let confirm = |options: &Value| {
        let request = read(&with_extension(options, "webhook")).request.unwrap();
        let options = request.extensions.webhook.unwrap().options;
        serde_json::to_value(WebhookData::new(&options, SignatureVersion::V1)).unwrap()
    };
    assert_eq!(
        confirm(&json!({"callback_url": url})),
        json!({
            "registered": true,
            "callback_url": url,
            "events": [
                "forrst.operation.completed",
                "forrst.operation.failed",
                "forrst.operation.cancelled",
            ],
            "signature_version": "v1",
        })
    );
    let asked =
        json!({"callback_url": url, "events": ["operation.failed"], "signature_version": "v1a"});
    let mut confirmed = asked.clone();
    confirmed["registered"] = json!(true);
    assert_eq!(confirm(&asked), confirmed);
}

#[test]
fn an_idempotency_key_is_answered_with_what_it_led_to() {
    let pending = operation(State::Pending);
    let cancelled = operation(State::Cancelled { at: NOW });
    let at = NOW.to_string();
    // It is kept for a minute after its end.
    let at_least = (NOW + Duration::from_secs(60)).to_string();
    for (response, expected) in [
        (
            IdempotencyData::first("k", "req_1", &pending, NOW),
            json!({
                "key": "k", "status": "processed", "original_request_id": "req_1",
                "expires_at": at_least,
            }),
        ),
        (
            IdempotencyData::repeated("k", None, &pending, NOW),
            json!({"key": "k", "status": "processing", "expires_at": at_least}),
        ),
        (
            IdempotencyData::repeated("k", Some("req_1"), &cancelled, NOW),
            json!({
                "key": "k", "status": "cached", "original_request_id": "req_1",
                "cached_at": at, "expires_at": at,
            }),
        ),
        (
            IdempotencyData::conflict("k", Some("req_1")),
            json!({"key": "k", "status": "conflict", "original_request_id": "req_1"}),
        ),
    ] {
        assert_eq!(serde_json::to_value(response).unwrap(), expected);
    }
    let pointer = "/extensions/0/options/key";
    let conflict = ErrorObject::idempotency_conflict(pointer, "k", Some(&[0xab; 32]));
    let conflict = Errors::from(conflict);
    assert_eq!(conflict.status(), 409);
    let details = &serde_json::to_value(conflict.as_slice()).unwrap()[0]["details"];
    let hash = format!("sha256:{}", "ab".repeat(32));
    assert_eq!(
        *details,
        json!({"key": "k", "original_arguments_hash": hash})
    );
}

#[test]
fn a_deadline_is_answered_with_its_remaining_time() {
    let specified = json!({"value": 10, "unit": "second"});
    let request = read(&with_extension(&specified, "deadline")).request;
    let options = request.unwrap().extensions.deadline.unwrap().options;
    for (elapsed, remaining, utilization) in [
        (0, 10_000, 0.0),
        (2_500, 7_500, 0.25),
        (10_000, 0, 1.0),
        (30_000, 0, 1.0),
    ] {
        let response = DeadlineData::new(
            &options,
            options.at(NOW),
            NOW,
            NOW + Duration::from_millis(elapsed),
        );
        assert_eq!(
            serde_json::to_value(response).unwrap(),
            json!({
                "specified": specified,
                "elapsed": {"value": elapsed, "unit": "millisecond"},
                "remaining": {"value": remaining, "unit": "millisecond"},
                "utilization": utilization,
            })
        );
    }
}

#[test]
fn an_operation_is_shown_by_the_rules_of_rest() {
    let result = "[1.0]".parse::<Json>().unwrap();
    let mut completed = operation(State::Completed {
        at: NOW,
        result: Payload::Inline(result.clone()),
        claim_id: ClaimId::from_bytes([1; 16]),
    });
    completed.progress = Some(Progress {
        fraction: 1.0,
        message: Some("done".to_owned()),
        at: NOW,
    });
    let created_at = completed.created_at.to_string();
    let id = completed.id.as_str();
    let mut expected = json!({
        "operation_id": id, "id": id, "function": "demo.echo", "version": "1.0.0",
        "status": "completed", "attempt": 0, "progress": 1.0, "message": "done", "result": [1.0],
        "created_at": created_at, "updated_at": created_at, "completed_at": NOW.to_string(),
        "deadline_at": NOW.to_string(), "expires_at": NOW.to_string(), "metadata": {"order": 7},
    });
    let payloads = Payloads {
        arguments: None,
        metadata: r#"{"order":7}"#.parse::<Json>().unwrap(),
        result: Some(result),
    };
    let whole = StatusView::whole(&completed, &payloads, NOW);
    assert_eq!(serde_json::to_value(whole).unwrap(), expected);

    let shown = expected.as_object_mut().unwrap();
    shown.remove("result");
    shown.remove("metadata");
    let summary = StatusView::summary(&completed, NOW);
    assert_eq!(serde_json::to_value(summary).unwrap(), expected);

    let failed = operation(State::Failed {
        at: NOW,
        errors: vec![OperationError::new("A", "b", None)],
        claim_id: None,
    });
    let shown = serde_json::to_value(StatusView::summary(&failed, NOW)).unwrap();
    assert_eq!(shown["errors"], json!([{"code": "A", "message": "b"}]));
    assert_eq!(
        (&shown["progress"], &shown["message"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn a_cancel_is_answered_with_id_status_and_time() {
    let cancelled = operation(State::Cancelled { at: NOW });
    assert_eq!(
        serde_json::to_value(CancelView::new(&cancelled)).unwrap(),
        json!({
            "operation_id": cancelled.id.as_str(), "status": "cancelled",
            "cancelled_at": NOW.to_string(),
        })
    );
    let error = ErrorObject::cannot_cancel("op_1", "cancelled");
    assert_eq!(
        serde_json::to_value(&error).unwrap()["details"],
        json!({"operation_id": "op_1", "status": "cancelled"})
    );
    assert_eq!(Errors::from(error).status(), 400);
}
