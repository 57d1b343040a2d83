//! Holds `infra/openapi.yaml` to the code, and to what the code answers and posts.
//!
//! That every answer is as the document says, each story looks at for its own answers (`tests::openapi`). Here is the rest: that the
//! document names the routes, codes and limits of the code, that its examples are true, that nothing stands in it that never happens; and
//! that each of these checks notices what is planted for it. Whether the document is valid at all, `tests/template.sh` asks the schema of
//! the specification.

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
fn the_examples_are_what_they_are_examples_of() {
    assert_none(&examples::faults(Document::of_ferry()));
}

#[test]
fn generators_of_clients_read_every_member() {
    assert_none(&generators::faults(Document::of_ferry()));
}

#[test]
fn the_document_allows_in_a_request_what_the_code_accepts() {
    assert_none(&strictness::faults(Document::of_ferry()));
}

/// The schemas of problems allow it where both can come, for generators that read one type
/// of body for each status.
#[test]
fn a_body_of_the_gateways_is_no_problem_of_ferrys() {
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
async fn every_documented_answer_and_callback_comes() {
    driven().await;
    assert_none(&coverage::faults(Document::of_ferry()));
}

#[tokio::test]
async fn every_check_notices_what_is_planted_for_it() {
    driven().await;
    let document = Document::of_ferry();
    for check in faults::CHECKS {
        assert_none(&(check.look)(document));
        let planted = faults::PLANTED.iter();
        assert!(
            planted.clone().any(|fault| fault.noticed_by == check.name),
            "{} was never seen to fail",
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
        let told = (check.look)(&Document::new(json));
        assert!(
            told.iter().any(|told| told.contains(fault.told)),
            "{} does not notice {}: {told:?}",
            check.name,
            fault.name
        );
    }
}

/// What the document is wrong about in the exchanges that this process has had.
fn exchange_faults(document: &Document) -> Vec<String> {
    let exchanges = kept().into_values();
    exchanges
        .flat_map(|exchange| document.exchange_faults(&exchange))
        .collect()
}

/// What the document is wrong about in the callbacks that receivers of this process have had.
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
