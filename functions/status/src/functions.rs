//! `GET /functions`.

use serde::Serialize;
use shared::domain::json::{Json, encode};
use shared::domain::limits::{ARGUMENTS_BYTES_MAX, RESULT_BYTES_MAX};
use shared::http::Response;

use crate::Handler;

#[derive(Serialize)]
struct Body {
    functions: Vec<FunctionView>,
}

#[derive(Serialize)]
struct FunctionView {
    name: &'static str,
    version: &'static str,
    description: &'static str,
    limits: Limits,
    arguments_schema: Json,
    result_schema: Json,
}

#[derive(Serialize)]
struct Limits {
    arguments_bytes_max: usize,
    result_bytes_max: usize,
    attempts_max: u32,
    attempt_timeout_seconds: u64,
    deadline_seconds_default: u32,
}

impl Handler {
    pub(crate) fn functions(&self) -> Response {
        let view = |entry: &shared::catalogue::Entry| FunctionView {
            name: entry.name,
            version: entry.version,
            description: entry.description,
            limits: Limits {
                arguments_bytes_max: ARGUMENTS_BYTES_MAX,
                result_bytes_max: RESULT_BYTES_MAX,
                attempts_max: entry.attempts_max,
                attempt_timeout_seconds: self.catalogue.attempt_timeout(entry).as_secs(),
                deadline_seconds_default: entry.deadline_secs,
            },
            arguments_schema: entry.arguments_schema(),
            result_schema: entry.result_schema(),
        };
        let body = Body {
            functions: self.catalogue.entries().map(view).collect(),
        };
        Response::json(200, encode(&body))
    }
}
