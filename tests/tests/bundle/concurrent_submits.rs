//! A thousand submits with one idempotency key.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Api, Response};
use tests::wait::until;

use super::BUNDLE;

const CLIENTS: usize = 32;
const SUBMITS: usize = 1000;
const KEY: &str = "storm";

struct Submitted {
    operation_id: String,
    is_first: bool,
    /// The id of the first call; null in REST.
    original_request_id: Value,
    by_forrst: bool,
}

async fn submit(api: &Api) -> Submitted {
    let headers = [("idempotency-key", KEY)];
    let body = json!({"function": "demo.echo", "arguments": {"n": 1}});
    let response = api.submit_with(&headers, &body).await;
    let replayed = response.headers.contains_key("idempotent-replayed");
    assert!(matches!(response.status, 200 | 202), "{}", response.text);
    Submitted {
        operation_id: response.id(),
        is_first: !replayed,
        original_request_id: Value::Null,
        by_forrst: false,
    }
}

async fn call(api: &Api, number: usize) -> Submitted {
    let body = json!({
        "protocol": {"name": "forrst", "version": "0.1.0"},
        "id": format!("req_{number}"),
        "call": {"function": "demo.echo", "arguments": {"n": 1}},
        "extensions": [
            {"urn": "urn:forrst:ext:async", "options": {"preferred": true}},
            {"urn": "urn:forrst:ext:idempotency", "options": {"key": KEY}},
        ],
    });
    let response = api
        .send(Method::POST, "/forrst", &[], body.to_string())
        .await;
    assert_eq!(response.status, 200, "{}", response.text);
    let json = response.json();
    let data = |index: usize| json["extensions"][index]["data"].clone();
    let (asynchronous, idempotency) = (data(0), data(1));
    let status = idempotency["status"].as_str().unwrap();
    let known = ["processed", "processing", "cached"].contains(&status);
    assert!(known, "{}", response.text);
    let result = if status == "cached" {
        json!({"n": 1})
    } else {
        Value::Null
    };
    assert_eq!(json["result"], result, "{}", response.text);
    Submitted {
        operation_id: asynchronous["operation_id"].as_str().unwrap().to_owned(),
        is_first: status == "processed",
        original_request_id: idempotency["original_request_id"].clone(),
        by_forrst: true,
    }
}

async fn client(client: usize) -> Vec<Submitted> {
    let api = BUNDLE.caller("storm");
    let mut submitted = Vec::new();
    for number in (client..SUBMITS).step_by(CLIENTS) {
        // Each client alternates between the protocols; half of the clients start with each.
        submitted.push(if (number / CLIENTS + client).is_multiple_of(2) {
            submit(&api).await
        } else {
            call(&api, number).await
        });
    }
    submitted
}

#[tokio::test]
async fn a_thousand_submits_by_both_protocols_are_one_operation() {
    let api = BUNDLE.caller("storm");
    let all: Vec<Submitted> = join_all((0..CLIENTS).map(client))
        .await
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(all.len(), SUBMITS);
    let ids: BTreeSet<_> = all.iter().map(|one| one.operation_id.as_str()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let firsts: Vec<_> = all.iter().filter(|one| one.is_first).collect();
    assert_eq!(firsts.len(), 1, "{} first responses", firsts.len());
    // Every Forrst response has the id of the first call, or null when that was a REST submit.
    for one in all.iter().filter(|one| one.by_forrst) {
        assert_eq!(one.original_request_id, firsts[0].original_request_id);
    }

    let id = &all[0].operation_id;
    let completed = api.wait_for_status(id, "completed").await.json();
    assert_eq!(completed["attempt"], 1);
    // One create, one claim and one completion.
    assert_eq!(completed["lock_version"], 3);
    let listed = |response: Response| {
        let json = response.json();
        let operations = json["operations"].as_array().unwrap().clone();
        (!operations.is_empty()).then_some(operations)
    };
    let listed = until("the list", async || listed(api.get("/operations").await)).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], id.as_str());
}
