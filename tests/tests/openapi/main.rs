//! Checks `infra/openapi.yaml` against the code, its responses and its callbacks.
//!
//! Every story checks its own responses against the document (`tests::openapi`). This suite checks
//! the rest: that the document has the code's routes, codes and limits, that its examples are
//! valid, that everything in it happens, and that each of these checks notices the faults planted
//! for it. `tests/template.sh` checks the document against the specification's schema.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod code;
mod coverage;
mod drive;
mod examples;
mod faults;
mod generators;
mod limits;
mod strictness;

use std::collections::BTreeMap;

use serde_json::Value;
use tests::openapi::{Document, Exchange, delivered_events, kept};

use crate::drive::driven;

#[test]
fn the_routes_codes_and_limits_are_those_of_the_code() {
    let document = Document::of_ferry();
    assert_none(&code::route_faults(document));
    assert_none(&code::code_faults(document));
    assert_none(&limits::faults(document));
}

#[test]
fn the_examples_are_valid() {
    assert_none(&examples::faults(Document::of_ferry()));
}

#[test]
fn generators_of_clients_read_every_member() {
    assert_none(&generators::faults(Document::of_ferry()));
}

#[test]
fn the_document_allows_the_requests_that_the_code_accepts() {
    assert_none(&strictness::faults(Document::of_ferry()));
}

/// Where both can be the response, the schema of a problem allows the gateway's body as well, for
/// generators that read one media type of each status.
#[test]
fn the_gateways_body_does_not_pass_as_a_problem() {
    let exchange = |media_type: &str| Exchange {
        method: "GET".to_owned(),
        path: "/operations".to_owned(),
        request_headers: BTreeMap::new(),
        request_body: Vec::new(),
        status: 401,
        headers: BTreeMap::from([("content-type".to_owned(), media_type.to_owned())]),
        body: r#"{"message":"Unauthorized"}"#.to_owned(),
    };
    let document = Document::of_ferry();
    assert_none(&document.exchange_faults(&exchange("application/json")));
    let faults = document.exchange_faults(&exchange("application/problem+json"));
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[tokio::test]
async fn every_documented_response_and_callback_happens() {
    driven().await;
    assert_none(&coverage::faults(Document::of_ferry()));
}

#[tokio::test]
async fn every_check_notices_its_planted_faults() {
    driven().await;
    let document = Document::of_ferry();
    for check in faults::CHECKS {
        assert_none(&(check.run)(document));
        let planted = faults::PLANTED.iter();
        assert!(
            planted.clone().any(|fault| fault.noticed_by == check.name),
            "no fault is planted for {}",
            check.name
        );
    }
    for fault in faults::PLANTED {
        let mut json: Value = document.json().clone();
        (fault.plant)(&mut json);
        assert_ne!(&json, document.json(), "{} changes nothing", fault.name);
        let check = faults::CHECKS
            .iter()
            .find(|check| check.name == fault.noticed_by)
            .unwrap();
        let messages = (check.run)(&Document::new(json));
        assert!(
            messages.iter().any(|text| text.contains(fault.message)),
            "{} does not notice {}: {messages:?}",
            check.name,
            fault.name
        );
    }
}

/// The differences between a document and the exchanges of this process.
fn exchange_faults(document: &Document) -> Vec<String> {
    let exchanges = kept().into_values();
    exchanges
        .flat_map(|exchange| document.exchange_faults(&exchange))
        .collect()
}

/// The differences between a document and the callbacks that receivers in this process got.
fn callback_faults(document: &Document) -> Vec<String> {
    let delivered = delivered_events().into_values();
    delivered
        .flat_map(|delivered| document.callback_faults(&delivered))
        .collect()
}

#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "infra/openapi.yaml:\n  {}",
        faults.join("\n  ")
    );
}
