//! Checks that everything that the document describes happens.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::domain::transition::Status;
use tests::openapi::{Document, EXTENSIBLE, Key, Route, delivered_events, kept};

/// Statuses that the local gateway does not return in this suite. It has no scopes and no
/// throttling, and its 500 and 503 need a function that crashes or hangs, which `infra/local`
/// tests.
const ONLY_ON_AWS: [u16; 4] = [403, 429, 500, 503];

/// Every documented response and callback that has not happened in this process.
pub(crate) fn faults(document: &Document) -> Vec<String> {
    let happened: BTreeSet<Key> = kept().into_keys().collect();
    let mut faults = Vec::new();
    for route in document.routes() {
        for (status, media_type, word) in documented(document, &route) {
            let has_happened = happened.iter().any(|key| {
                key.route == route
                    && (key.status, &key.media_type) == (status, &media_type)
                    && word.as_ref().is_none_or(|word| key.word == *word)
            });
            if !has_happened {
                let Route { method, path } = &route;
                let word = word.unwrap_or_default();
                faults.push(format!(
                    "{method} {path} never responded with {status} {media_type} {word}"
                ));
            }
        }
        let refused = |key: &Key| key.route.path == route.path && key.status == 405;
        if !happened.iter().any(refused) {
            faults.push(format!("{} never responded with 405", route.path));
        }
    }
    for status in Status::ALL {
        let returned = |key: &Key| key.route.method == "GET" && key.word == status.as_str();
        if !happened.iter().any(returned) {
            faults.push(format!("no operation was returned as {status}"));
        }
    }
    let delivered = delivered_events();
    let webhooks = document.at("/webhooks").as_object().into_iter().flatten();
    let webhooks = webhooks.map(|(name, _)| name.as_str());
    for name in webhooks.chain(["forrst.operation.completed without result"]) {
        if !delivered.contains_key(name) {
            faults.push(format!("{name} was never sent"));
        }
    }
    faults
}

/// Status, media type and code of the responses that a route documents. Responses without an error
/// have no code, and the gateway's an empty one.
fn documented(document: &Document, route: &Route) -> Vec<(u16, String, Option<String>)> {
    let operation = document.operation(route).unwrap();
    let responses = format!("{operation}/responses");
    let mut documented = Vec::new();
    for status in document.at(&responses).as_object().unwrap().keys() {
        let response = document.member(&responses, status).unwrap();
        let status: u16 = status.parse().unwrap();
        let Some(content) = document.at(&response)["content"].as_object() else {
            documented.push((status, String::new(), None));
            continue;
        };
        for (media_type, media) in content {
            let (mut codes, mut gateways) = (Vec::new(), false);
            read(&media["schema"], &mut codes, &mut gateways);
            let gateways_type = media_type == "application/json";
            if gateways && gateways_type && !ONLY_ON_AWS.contains(&status) {
                documented.push((status, media_type.clone(), Some(String::new())));
            }
            if codes.is_empty() && !gateways {
                documented.push((status, media_type.clone(), None));
            }
            let codes = codes.into_iter();
            documented.extend(codes.map(|code| (status, media_type.clone(), Some(code))));
        }
    }
    documented
}

/// Collects the codes that a schema lists, and whether it allows the gateway's body.
fn read(schema: &Value, codes: &mut Vec<String>, gateways: &mut bool) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    (EXTENSIBLE, Value::Array(words)) => {
                        codes.extend(words.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    ("$ref", Value::String(target)) => {
                        *gateways |= target.ends_with("/GatewayError");
                    }
                    _ => read(member, codes, gateways),
                }
            }
        }
        Value::Array(elements) => elements
            .iter()
            .for_each(|element| read(element, codes, gateways)),
        _ => {}
    }
}
