//! Faults that are planted in the document, each with the check that has to notice it and a part of what that has to say.

use serde_json::{Value, json};
use tests::openapi::Document;

use crate::{
    callback_faults, code, coverage, examples, exchange_faults, generators, limits, strictness,
};

/// A check of a document.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) look: fn(&Document) -> Vec<String>,
}

/// See the module.
pub(crate) struct Planted {
    pub(crate) name: &'static str,
    pub(crate) noticed_by: &'static str,
    pub(crate) told: &'static str,
    pub(crate) plant: fn(&mut Value),
}

pub(crate) const CHECKS: &[Check] = &[
    Check {
        name: "routes",
        look: code::route_faults,
    },
    Check {
        name: "codes",
        look: code::code_faults,
    },
    Check {
        name: "limits",
        look: limits::faults,
    },
    Check {
        name: "examples",
        look: examples::faults,
    },
    Check {
        name: "generators",
        look: generators::faults,
    },
    Check {
        name: "strictness",
        look: strictness::faults,
    },
    Check {
        name: "coverage",
        look: coverage::faults,
    },
    Check {
        name: "exchanges",
        look: exchange_faults,
    },
    Check {
        name: "callbacks",
        look: callback_faults,
    },
];

macro_rules! planted {
    ($($check:literal: $name:literal, $told:literal, $plant:expr;)*) => {
        &[$(Planted { name: $name, noticed_by: $check, told: $told, plant: $plant }),*]
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
    "codes": "a code is too many", "NOBODY_IN", |document| {
        add(document, "/components/schemas/ErrorCode/x-extensible-enum", json!("NOBODY_IN"));
    };
    "codes": "an extension is missing", "urn:forrst:ext:retry", |document| {
        drop_word(document, "/components/schemas/RetryOptions/properties/urn/enum", "urn:forrst:ext:retry");
    };
    "limits": "a limit is another", "TtlSeconds/maximum", |document| {
        set(document, "/components/schemas/TtlSeconds", "maximum", json!(604_801));
    };
    "limits": "a limit in words is another", "256 KiB", |document| {
        set(document, "/components/schemas/Arguments", "description", json!("at most 255 KiB"));
    };
    "examples": "a reference leads nowhere", "there is no #/components/headers/Etag", |document| {
        set(document, "/paths/~1operations/post/responses/200/headers/ETag", "$ref", json!("#/components/headers/Etag"));
    };
    "examples": "an example has a member that is not named", "colour", |document| {
        set(document, "/components/examples/Completed/value", "colour", json!("red"));
    };
    "examples": "an example of a pending operation has a result", "examples/Pending", |document| {
        set(document, "/components/examples/Pending/value", "result", json!({}));
    };
    "examples": "an example of a header is none", "components/headers/ETag", |document| {
        set(document, "/components/headers/ETag", "example", json!("untagged"));
    };
    "generators": "an object that is open does not say so", "Arguments: an object", |document| {
        remove(document, "/components/schemas/Arguments", "additionalProperties");
    };
    "generators": "members are next to a choice", "properties is next to oneOf", |document| {
        set(document, "/components/schemas/Operation", "properties", json!({"owner": {}}));
    };
    "generators": "a member has a default in place", "ttl_seconds has its default", |document| {
        let members = "/components/schemas/Submission/properties";
        set(document, members, "ttl_seconds", json!({"type": "integer", "default": 86_400}));
    };
    "strictness": "a text is allowed that is refused", "\"ftp://example.com/\"", |document| {
        remove(document, "/components/schemas/CallbackUrl", "pattern");
    };
    "strictness": "a text is accepted that is not allowed", "\"0.1.0-rc.1\"", |document| {
        set(document, "/components/schemas/Version", "pattern", json!("^[0-9.]+$"));
    };
    "coverage": "a status never comes", "418", |document| {
        set(document, "/paths/~1health/get/responses", "418", json!({"description": "A teapot"}));
    };
    "coverage": "a code never comes", "PARSE_ERROR", |document| {
        let codes = "/paths/~1operations/get/responses/400/content/application~1problem+json/schema/properties/code/x-extensible-enum";
        add(document, codes, json!("PARSE_ERROR"));
    };
    "coverage": "a callback is never made", "forrst.operation.begun", |document| {
        set(document, "/webhooks", "forrst.operation.begun", json!({"post": {}}));
    };
    "exchanges": "a member has another type", "/attempt", |document| {
        set(document, "/components/schemas/Attempt", "type", json!("string"));
    };
    "exchanges": "a member is missing", "lock_version", |document| {
        remove(document, "/components/schemas/OperationMembers/properties", "lock_version");
    };
    "exchanges": "a member is required that nobody sees", "owner", |document| {
        add(document, "/components/schemas/OperationMembers/required", json!("owner"));
    };
    "exchanges": "a result is refused that is there", "'oneOf'", |document| {
        add(document, "/components/schemas/Completed/not/anyOf", json!({"required": ["result"]}));
    };
    "exchanges": "a status is not documented", "no answer 412", |document| {
        remove(document, "/paths/~1operations~1{id}~1cancel/post/responses", "412");
    };
    "exchanges": "a code of an answer is missing", "VERSION_NOT_FOUND", |document| {
        let codes = "/paths/~1operations/post/responses/404/content/application~1problem+json/schema/properties/code/x-extensible-enum";
        drop_word(document, codes, "VERSION_NOT_FOUND");
    };
    "exchanges": "a code of Forrst is missing", "EXTENSION_NOT_APPLICABLE", |document| {
        let codes = "/paths/~1forrst/post/responses/400/content/application~1json/schema/properties/errors/anyOf/1/items\
                     /properties/code/anyOf/0/x-extensible-enum";
        drop_word(document, codes, "EXTENSION_NOT_APPLICABLE");
    };
    "exchanges": "a type of body is another", "has nothing of type \"application/problem+json\"", |document| {
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
    "exchanges": "a header is required that nobody sees", "there is no Idempotent-Replayed", |document| {
        set(document, "/components/headers/IdempotentReplayed", "required", json!(true));
    };
    "exchanges": "a method is missing", "DELETE", |document| {
        remove(document, "/paths/~1operations~1{id}", "delete");
    };
    "exchanges": "a request is accepted that is called wrong", "metadata", |document| {
        remove(document, "/components/schemas/Submission/properties", "metadata");
    };
    "exchanges": "a parameter is accepted that is called wrong", "parameters/IdempotencyKey", |document| {
        set(document, "/components/parameters/IdempotencyKey/schema", "pattern", json!("^[0-9]+$"));
    };
    "exchanges": "an extension's data lacks a member", "utilization", |document| {
        remove(document, "/components/schemas/DeadlineData/properties/data/properties", "utilization");
    };
    "callbacks": "a webhook is missing", "forrst.operation.cancelled", |document| {
        remove(document, "/webhooks", "forrst.operation.cancelled");
    };
    "callbacks": "a member of an event has another type", "created_at", |document| {
        set(document, "/components/schemas/EventData/properties", "created_at", json!({"type": "integer"}));
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
