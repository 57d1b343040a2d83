//! What the document says, and never happens.

use std::collections::BTreeSet;

use serde_json::Value;
use shared::domain::transition::Status;
use tests::openapi::{Document, EXTENSIBLE, Key, Route, delivered_events, kept};

/// What the gateway in front of the bundle on one machine does not answer here: it knows no scopes and does not throttle, and its 500 and
/// 503 take a function that crashes or hangs, which are tests of `infra/local`.
const OF_AWS_GATEWAY_ALONE: [u16; 4] = [403, 429, 500, 503];

/// Every documented answer that has not been given, and every documented callback that has not been made, in this process.
pub(crate) fn faults(document: &Document) -> Vec<String> {
    let given: BTreeSet<Key> = kept().into_keys().collect();
    let mut faults = Vec::new();
    for route in document.routes() {
        for (status, media_type, word) in documented(document, &route) {
            let came = given.iter().any(|key| {
                key.route == route
                    && (key.status, &key.media_type) == (status, &media_type)
                    && word.as_ref().is_none_or(|word| key.word == *word)
            });
            if !came {
                let Route { method, path } = &route;
                let word = word.unwrap_or_default();
                faults.push(format!(
                    "{method} {path} never answered {status} {media_type} {word}"
                ));
            }
        }
        let refused = |key: &Key| key.route.path == route.path && key.status == 405;
        if !given.iter().any(refused) {
            faults.push(format!("{} never answered 405", route.path));
        }
    }
    for status in Status::ALL {
        let shown = |key: &Key| key.route.method == "GET" && key.word == status.as_str();
        if !given.iter().any(shown) {
            faults.push(format!("nothing was shown as {status}"));
        }
    }
    let made = delivered_events();
    let webhooks = document.at("/webhooks").as_object().into_iter().flatten();
    let webhooks = webhooks.map(|(name, _)| name.as_str());
    for name in webhooks.chain(["forrst.operation.completed without result"]) {
        if !made.contains_key(name) {
            faults.push(format!("{name} was never called back"));
        }
    }
    faults
}

/// Status, type and code of the answers that a route documents; no code where it is no error, or the gateway's.
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
            if gateways && gateways_type && !OF_AWS_GATEWAY_ALONE.contains(&status) {
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

/// The codes that a schema lists, and whether the gateway's own body is among what it allows.
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
