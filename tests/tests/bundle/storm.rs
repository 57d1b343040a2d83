//! A thousand submits that are one.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::api::{Answer, Api};
use tests::wait::until;

use super::BUNDLE;

const CLIENTS: usize = 32;
const SUBMITS: usize = 1000;
const KEY: &str = "storm";

/// What one of them was answered.
struct Told {
    operation_id: String,
    is_first: bool,
    /// The first call's own id, where this face shows it.
    original_request_id: Value,
    by_forrst: bool,
}

async fn submit(api: &Api) -> Told {
    let headers = [("idempotency-key", KEY)];
    let body = json!({"function": "demo.echo", "arguments": {"n": 1}});
    let answer = api.submit_with(&headers, &body).await;
    let replayed = answer.headers.contains_key("idempotent-replayed");
    assert!(matches!(answer.status, 200 | 202), "{}", answer.text);
    Told {
        operation_id: answer.id(),
        is_first: !replayed,
        original_request_id: Value::Null,
        by_forrst: false,
    }
}

async fn call(api: &Api, number: usize) -> Told {
    let body = json!({
        "protocol": {"name": "forrst", "version": "0.1.0"},
        "id": format!("req_{number}"),
        "call": {"function": "demo.echo", "arguments": {"n": 1}},
        "extensions": [
            {"urn": "urn:forrst:ext:async", "options": {"preferred": true}},
            {"urn": "urn:forrst:ext:idempotency", "options": {"key": KEY}},
        ],
    });
    let answer = api
        .send(Method::POST, "/forrst", &[], body.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let json = answer.json();
    let data = |place: usize| json["extensions"][place]["data"].clone();
    let (asynchronous, idempotency) = (data(0), data(1));
    let status = idempotency["status"].as_str().unwrap();
    let known = ["processed", "processing", "cached"].contains(&status);
    assert!(known, "{}", answer.text);
    let result = if status == "cached" {
        json!({"n": 1})
    } else {
        Value::Null
    };
    assert_eq!(json["result"], result, "{}", answer.text);
    Told {
        operation_id: asynchronous["operation_id"].as_str().unwrap().to_owned(),
        is_first: status == "processed",
        original_request_id: idempotency["original_request_id"].clone(),
        by_forrst: true,
    }
}

async fn client(client: usize) -> Vec<Told> {
    let api = BUNDLE.caller("storm");
    let mut told = Vec::new();
    for number in (client..SUBMITS).step_by(CLIENTS) {
        // Each client changes face with each submit, and half of them begin with either.
        told.push(if (number / CLIENTS + client).is_multiple_of(2) {
            submit(&api).await
        } else {
            call(&api, number).await
        });
    }
    told
}

#[tokio::test]
async fn a_thousand_submits_by_both_faces_are_one_operation() {
    let api = BUNDLE.caller("storm");
    let told: Vec<Told> = join_all((0..CLIENTS).map(client))
        .await
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(told.len(), SUBMITS);
    let ids: BTreeSet<_> = told.iter().map(|one| one.operation_id.as_str()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let firsts: Vec<_> = told.iter().filter(|one| one.is_first).collect();
    assert_eq!(firsts.len(), 1, "{} first answers", firsts.len());
    // Whose it was is known to everybody, and nobody's when REST was first.
    for one in told.iter().filter(|one| one.by_forrst) {
        assert_eq!(one.original_request_id, firsts[0].original_request_id);
    }

    let id = &told[0].operation_id;
    let completed = api.reaches(id, "completed").await.json();
    assert_eq!(completed["attempt"], 1);
    // Created, claimed, completed: each once.
    assert_eq!(completed["lock_version"], 3);
    let listed = |answer: Answer| {
        let json = answer.json();
        let operations = json["operations"].as_array().unwrap().clone();
        (!operations.is_empty()).then_some(operations)
    };
    let listed = until("the list", async || listed(api.get("/operations").await)).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], id.as_str());
}
