//! Faults to plant in the document, each with the check that must notice it and a part of that
//! check's message.

use serde_json::{Value, json};
use tests::openapi::Document;

use crate::{
    callback_faults, code, coverage, examples, exchange_faults, generators, limits, strictness,
};

/// A check of a document.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Document) -> Vec<String>,
}

pub(crate) struct Planted {
    pub(crate) name: &'static str,
    pub(crate) noticed_by: &'static str,
    pub(crate) message: &'static str,
    pub(crate) plant: fn(&mut Value),
}

pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "routes",
        run: code::route_faults,
    },
    Check {
        name: "codes",
        run: code::code_faults,
    },
    Check {
        name: "limits",
        run: limits::faults,
    },
    Check {
        name: "examples",
        run: examples::faults,
    },
    Check {
        name: "generators",
        run: generators::faults,
    },
    Check {
        name: "strictness",
        run: strictness::faults,
    },
    Check {
        name: "coverage",
        run: coverage::faults,
    },
    Check {
        name: "exchanges",
        run: exchange_faults,
    },
    Check {
        name: "callbacks",
        run: callback_faults,
    },
];

macro_rules! planted {
    ($($check:literal: $name:literal, $message:literal, $plant:expr;)*) => {
        &[$(Planted { name: $name, noticed_by: $check, message: $message, plant: $plant }),*]
    };
}

pub(crate) const PLANTED: &[Planted] = planted! {
    "routes": "a route is missing", "GET /functions", |document| remove(document, "/paths", "/functions");
    "routes": "a route is too many", "GET /nowhere", |document| {
        set(document, "/paths", "/nowhere", json!({"get": {"responses": {}}}));
    };
    "routes": "a route is open that is not", "\"GET /functions\", true", |document| {
        set(document, "/paths/~1functions/get", "security", json!([]));
    };
    "codes": "a code is missing", "CONFLICT", |document| {
        drop_word(document, "/components/schemas/ErrorCode/x-extensible-enum", "CONFLICT");
    };
    "codes": "an unknown code is listed", "NO_SUCH_CODE", |document| {
        add(document, "/components/schemas/ErrorCode/x-extensible-enum", json!("NO_SUCH_CODE"));
    };
    "codes": "an extension is missing", "urn:forrst:ext:retry", |document| {
        let urns = "/components/schemas/RetryOptions/properties/urn/enum";
        drop_word(document, urns, "urn:forrst:ext:retry");
    };
    "limits": "a limit differs", "TtlSeconds/maximum", |document| {
        set(document, "/components/schemas/TtlSeconds", "maximum", json!(604_801));
    };
    "limits": "a limit in words differs", "256 KiB", |document| {
        set(document, "/components/schemas/Arguments", "description", json!("at most 255 KiB"));
    };
    "examples": "a reference has no target", "there is no #/components/headers/Etag", |document| {
        let header = "/paths/~1operations/post/responses/200/headers/ETag";
        set(document, header, "$ref", json!("#/components/headers/Etag"));
    };
    "examples": "an example has an unknown member", "colour", |document| {
        set(document, "/components/examples/Completed/value", "colour", json!("red"));
    };
    "examples": "an example of a pending operation has a result", "examples/Pending", |document| {
        set(document, "/components/examples/Pending/value", "result", json!({}));
    };
    "examples": "an example of a header is invalid", "components/headers/ETag", |document| {
        set(document, "/components/headers/ETag", "example", json!("untagged"));
    };
    "generators": "an open object has no additionalProperties", "Arguments: an object", |document| {
        remove(document, "/components/schemas/Arguments", "additionalProperties");
    };
    "generators": "members are next to a choice", "properties is next to oneOf", |document| {
        set(document, "/components/schemas/Operation", "properties", json!({"owner": {}}));
    };
    "generators": "a member has a default in place", "ttl_seconds has its default", |document| {
        let members = "/components/schemas/Submission/properties";
        set(document, members, "ttl_seconds", json!({"type": "integer", "default": 86_400}));
    };
    "strictness": "a refused text is allowed", "\"ftp://example.com/\"", |document| {
        remove(document, "/components/schemas/CallbackUrl", "pattern");
    };
    "strictness": "an accepted text is not allowed", "\"0.1.0-rc.1\"", |document| {
        set(document, "/components/schemas/Version", "pattern", json!("^[0-9.]+$"));
    };
    "coverage": "a status never happens", "418", |document| {
        set(document, "/paths/~1health/get/responses", "418", json!({"description": "A teapot"}));
    };
    "coverage": "a code never happens", "PARSE_ERROR", |document| {
        let codes = "/paths/~1operations/get/responses/400/content/application~1problem+json\
                     /schema/properties/code/x-extensible-enum";
        add(document, codes, json!("PARSE_ERROR"));
    };
    "coverage": "a callback is never sent", "forrst.operation.begun", |document| {
        set(document, "/webhooks", "forrst.operation.begun", json!({"post": {}}));
    };
    "exchanges": "a member has another type", "/attempt", |document| {
        set(document, "/components/schemas/Attempt", "type", json!("string"));
    };
    "exchanges": "a member is missing", "lock_version", |document| {
        remove(document, "/components/schemas/OperationMembers/properties", "lock_version");
    };
    "exchanges": "a member that no response has is required", "owner", |document| {
        add(document, "/components/schemas/OperationMembers/required", json!("owner"));
    };
    "exchanges": "a result that responses have is not allowed", "'oneOf'", |document| {
        add(document, "/components/schemas/Completed/not/anyOf", json!({"required": ["result"]}));
    };
    "exchanges": "a status is not documented", "no response 412", |document| {
        remove(document, "/paths/~1operations~1{id}~1cancel/post/responses", "412");
    };
    "exchanges": "a code of a response is missing", "VERSION_NOT_FOUND", |document| {
        let codes = "/paths/~1operations/post/responses/404/content/application~1problem+json\
                     /schema/properties/code/x-extensible-enum";
        drop_word(document, codes, "VERSION_NOT_FOUND");
    };
    "exchanges": "a code of Forrst is missing", "EXTENSION_NOT_APPLICABLE", |document| {
        let codes = "/paths/~1forrst/post/responses/400/content/application~1json/schema\
                     /properties/errors/anyOf/1/items/properties/code/anyOf/0/x-extensible-enum";
        drop_word(document, codes, "EXTENSION_NOT_APPLICABLE");
    };
    "exchanges": "a media type differs", "has nothing of type \"application/problem+json\"", |document| {
        let content = "/components/responses/OperationNotFound/content";
        let media = document.pointer(content).unwrap()["application/problem+json"].clone();
        remove(document, content, "application/problem+json");
        set(document, content, "application/json", media);
    };
    "exchanges": "a header has another form", "ETag", |document| {
        set(document, "/components/headers/ETag/schema", "pattern", json!("^W/"));
    };
    "exchanges": "a header is missing", "has no location", |document| {
        remove(document, "/paths/~1operations/post/responses/202/headers", "Location");
    };
    "exchanges": "an optional header is required", "there is no Idempotent-Replayed", |document| {
        set(document, "/components/headers/IdempotentReplayed", "required", json!(true));
    };
    "exchanges": "a method is missing", "DELETE", |document| {
        remove(document, "/paths/~1operations~1{id}", "delete");
    };
    "exchanges": "an accepted request is not allowed", "metadata", |document| {
        remove(document, "/components/schemas/Submission/properties", "metadata");
    };
    "exchanges": "an accepted parameter is not allowed", "parameters/IdempotencyKey", |document| {
        let schema = "/components/parameters/IdempotencyKey/schema";
        set(document, schema, "pattern", json!("^[0-9]+$"));
    };
    "exchanges": "an extension's data lacks a member", "utilization", |document| {
        let data = "/components/schemas/DeadlineData/properties/data/properties";
        remove(document, data, "utilization");
    };
    "callbacks": "a webhook is missing", "forrst.operation.cancelled", |document| {
        remove(document, "/webhooks", "forrst.operation.cancelled");
    };
    "callbacks": "a member of an event has another type", "created_at", |document| {
        let members = "/components/schemas/EventData/properties";
        set(document, members, "created_at", json!({"type": "integer"}));
    };
    "callbacks": "a member of an event is missing", "completed_at", |document| {
        let data = "/components/schemas/FailedEvent/properties/data";
        remove(document, &format!("{data}/allOf/1/properties"), "completed_at");
    };
    "callbacks": "a header of a callback has another form", "WebhookId", |document| {
        set(document, "/components/parameters/WebhookId/schema", "pattern", json!("^evt_"));
    };
};

fn at<'a>(document: &'a mut Value, pointer: &str) -> &'a mut Value {
    let value = document.pointer_mut(pointer);
    value.unwrap_or_else(|| panic!("there is no {pointer}"))
}

fn set(document: &mut Value, holder: &str, name: &str, value: Value) {
    at(document, holder)[name] = value;
}

fn remove(document: &mut Value, holder: &str, name: &str) {
    let members = at(document, holder).as_object_mut().unwrap();
    members.remove(name).unwrap();
}

fn add(document: &mut Value, list: &str, value: Value) {
    at(document, list).as_array_mut().unwrap().push(value);
}

fn drop_word(document: &mut Value, list: &str, word: &str) {
    let words = at(document, list).as_array_mut().unwrap();
    words.retain(|known| known != word);
}
