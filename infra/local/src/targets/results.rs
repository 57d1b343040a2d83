//! What targets return, checked against the `result_schema` of their functions. Only a warning
//! comes of it, for the handler's author. On AWS nothing checks results: the work is done and paid
//! for, and to fail it helps no caller.

use serde::Deserialize;
use shared::catalogue::{Entry, reserved_member};
use shared::domain::json::Json;
use shared::schema::result_errors;

/// The part of an attempt's document that names the function.
#[derive(Debug, Deserialize)]
struct Document {
    data: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    function: String,
    version: String,
}

/// Logs what is wrong with the result of an attempt. Other responses are the worker's to report:
/// one that is not JSON, and an error of the target.
pub(super) fn check(entries: &[Entry], document: &[u8], response: &[u8]) {
    let Ok(Document {
        data: Function { function, version },
    }) = serde_json::from_slice(document)
    else {
        return;
    };
    let entry = entries
        .iter()
        .find(|entry| entry.name == function && entry.version == version);
    let result = std::str::from_utf8(response).ok();
    let result = result.and_then(|text| text.parse::<Json>().ok());
    let (Some(entry), Some(result)) = (entry, result) else {
        return;
    };
    if reserved_member(&result).is_some() {
        return;
    }
    for error in result_errors(entry, &result) {
        tracing::warn!(
            function,
            version,
            "the result does not match result_schema: {} {}",
            if error.pointer.is_empty() {
                "it"
            } else {
                &error.pointer
            },
            error.detail
        );
    }
}
