//! REST and Forrst have the same operations: each reads, cancels and lists those of the other.

use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, Response};
use tests::wait::until;

use super::BUNDLE;

const STATUS: &str = "urn:cline:forrst:ext:async:fn:status";
const CANCEL: &str = "urn:cline:forrst:ext:async:fn:cancel";
const LIST: &str = "urn:cline:forrst:ext:async:fn:list";

async fn call(api: &Api, function: &str, arguments: &Value) -> Response {
    let body = json!({
        "protocol": {"name": "forrst", "version": "0.1.0"},
        "id": "req_protocols",
        "call": {"function": function, "arguments": arguments},
        "extensions": [{"urn": "urn:cline:forrst:ext:async", "options": {"preferred": true}}],
    });
    api.send(Method::POST, "/forrst", &[], body.to_string())
        .await
}

async fn result(api: &Api, function: &str, arguments: &Value) -> Value {
    let response = call(api, function, arguments).await;
    assert_eq!(response.status, 200, "{}", response.text);
    response.json()["result"].clone()
}

async fn begin(api: &Api, function: &str, arguments: &Value) -> String {
    let response = call(api, function, arguments).await;
    assert_eq!(response.status, 200, "{}", response.text);
    let id = &response.json()["extensions"][0]["data"]["operation_id"];
    id.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_protocol_reads_the_operations_of_the_other() {
    let api = BUNDLE.caller("protocols-read");
    let by_forrst = begin(&api, "demo.echo", &json!({"n": 1.50})).await;
    let by_rest = api
        .submit(&json!({
            "function": "demo.echo", "arguments": {"n": 1.50}, "metadata": {"m": 1},
        }))
        .await
        .id();
    for id in [by_forrst, by_rest] {
        let rest = api.wait_for_status(&id, "completed").await.json();
        let forrst = result(&api, STATUS, &json!({ "operation_id": id })).await;
        for member in [
            "id",
            "function",
            "version",
            "status",
            "attempt",
            "progress",
            "result",
            "created_at",
            "updated_at",
            "started_at",
            "completed_at",
            "attempts",
            "deadline_at",
            "expires_at",
            "metadata",
        ] {
            assert_eq!(forrst[member], rest[member], "{member}");
            assert_ne!(forrst.get(member), None, "{member}");
        }
    }
}

#[tokio::test]
async fn each_protocol_cancels_the_operations_of_the_other() {
    let api = BUNDLE.caller("protocols-cancel");
    let id = api.submit_endless().await;
    let cancelled = result(&api, CANCEL, &json!({ "operation_id": id })).await;
    assert_eq!(cancelled["status"], "cancelled");
    let shown = api.wait_for_status(&id, "cancelled").await.json();
    assert_eq!(shown["cancelled_at"], cancelled["cancelled_at"]);

    let endless = json!({"steps": 10_000, "step_ms": 60_000});
    let id = begin(&api, "demo.countdown", &endless).await;
    let cancelled = api.post(&format!("/operations/{id}/cancel")).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    let shown = result(&api, STATUS, &json!({ "operation_id": id })).await;
    assert_eq!(shown["cancelled_at"], cancelled.json()["cancelled_at"]);
    // A repeated cancel succeeds in REST and is an error in Forrst, as each protocol defines.
    let again = api.post(&format!("/operations/{id}/cancel")).await;
    assert_eq!(again.status, 200, "{}", again.text);
    let again = call(&api, CANCEL, &json!({ "operation_id": id })).await;
    assert_eq!(again.status, 400, "{}", again.text);
    assert_eq!(again.json()["errors"][0]["code"], "ASYNC_CANNOT_CANCEL");
}

#[tokio::test]
async fn each_protocol_continues_a_list_of_the_other() {
    let api = BUNDLE.caller("protocols-list");
    let mut newest_first = Vec::new();
    for number in 0..4 {
        let arguments = json!({ "n": number });
        let body = json!({"function": "demo.echo", "arguments": arguments});
        let id = if number % 2 == 0 {
            begin(&api, "demo.echo", &arguments).await
        } else {
            api.submit(&body).await.id()
        };
        // Creation times order the list, in milliseconds, so they must differ.
        api.wait_for_status(&id, "completed").await;
        newest_first.insert(0, id);
    }
    let ids = |page: &Value| -> Vec<String> {
        let operations = page["operations"].as_array().unwrap();
        let id = |operation: &Value| operation["id"].as_str().unwrap().to_owned();
        operations.iter().map(id).collect()
    };
    // The index is eventually consistent.
    until("the whole list", async || {
        let page = api.get("/operations?function=demo.echo").await.json();
        (ids(&page) == newest_first).then_some(())
    })
    .await;

    // The protocols alternate, and each is first once.
    for first in [0, 1] {
        let (mut listed, mut cursor) = (Vec::new(), None::<String>);
        for turn in first.. {
            let page = if turn % 2 == 0 {
                let mut query = "function=demo.echo&limit=1".to_owned();
                if let Some(cursor) = &cursor {
                    query = format!("{query}&cursor={cursor}");
                }
                api.get(&format!("/operations?{query}")).await.json()
            } else {
                let mut arguments = json!({"function": "demo.echo", "limit": 1});
                if let Some(cursor) = &cursor {
                    arguments["cursor"] = json!(cursor);
                }
                result(&api, LIST, &arguments).await
            };
            listed.extend(ids(&page));
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(listed, newest_first);
    }
}
