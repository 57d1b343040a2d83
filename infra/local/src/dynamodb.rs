//! The embedded store behind DynamoDB's HTTP interface.
//!
//! `dynoxide` has a server, which cannot be put behind the guard: it answers every
//! origin with `access-control-allow-origin: *`. This module replaces that server and uses
//! `dynoxide`'s operations as they are. It differs in one detail: the error message for a body that
//! no SDK sends, such as a list in place of a string, is less exact.
//!
//! The protocol is AWS JSON 1.0: <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>.

use std::io;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, DATE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use dynoxide::auth_material::{self, AuthMaterial};
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;

use crate::guard::{Allowed, guarded};

/// DynamoDB's largest request, a batch of 25 writes.
const REQUEST_MAX_BYTES: usize = 16 * 1024 * 1024;
const CONTENT_TYPE_JSON: &str = "application/x-amz-json-1.0";
/// The start of the header `X-Amz-Target`, before the operation's name.
const TARGET_PREFIXES: [&str; 2] = ["DynamoDB_20120810.", "DynamoDBStreams_20120810."];
const UNKNOWN_OPERATION: &str =
    r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#;

/// Accepts connections on `listener` until the future is dropped.
///
/// # Errors
///
/// When the listener has no local address.
pub(crate) async fn serve(
    database: Database,
    listener: TcpListener,
    allowed: Allowed,
) -> io::Result<()> {
    let router = Router::new()
        .route("/", post(handle))
        .layer(DefaultBodyLimit::max(REQUEST_MAX_BYTES))
        .with_state(database);
    let router = guarded(router, &listener, allowed)?;
    axum::serve(listener, router).await
}

async fn handle(
    State(database): State<Database>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let target = header("x-amz-target").unwrap_or_default();
    let mut prefixes = TARGET_PREFIXES.into_iter();
    let operation = prefixes.find_map(|prefix| target.strip_prefix(prefix));
    let operation = operation.unwrap_or_default();
    // The signature must be present; it is not verified.
    let unsigned = auth_material::validate(AuthMaterial {
        authorization: header(AUTHORIZATION.as_str()),
        query: uri.query().unwrap_or_default(),
        has_date_header: headers.contains_key("x-amz-date") || headers.contains_key(DATE),
    });
    if let Some(problem) = unsigned {
        return reply(StatusCode::BAD_REQUEST, problem);
    }
    match run(&database, operation, &body) {
        None => reply(StatusCode::BAD_REQUEST, UNKNOWN_OPERATION.to_owned()),
        Some(Ok(answer)) => reply(StatusCode::OK, answer),
        Some(Err(error)) => {
            tracing::debug!(operation, %error, "request refused");
            let status = StatusCode::from_u16(error.status_code());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            reply(status, error.to_json())
        }
    }
}

fn reply(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, CONTENT_TYPE_JSON)], body).into_response()
}

macro_rules! operations {
    ($($name:literal => $method:ident,)*) => {
        /// `None` for an unknown operation.
        fn run(
            database: &Database,
            operation: &str,
            body: &[u8],
        ) -> Option<Result<String, DynoxideError>> {
            match operation {
                $($name => Some(answer(body, |request| database.$method(request))),)*
                _ => None,
            }
        }
    };
}

operations! {
    "BatchExecuteStatement" => batch_execute_statement,
    "BatchGetItem" => batch_get_item,
    "BatchWriteItem" => batch_write_item,
    "CreateTable" => create_table,
    "DeleteItem" => delete_item,
    "DeleteTable" => delete_table,
    "DescribeStream" => describe_stream,
    "DescribeTable" => describe_table,
    "DescribeTimeToLive" => describe_time_to_live,
    "ExecuteStatement" => execute_statement,
    "ExecuteTransaction" => execute_transaction,
    "GetItem" => get_item,
    "GetRecords" => get_records,
    "GetShardIterator" => get_shard_iterator,
    "ListStreams" => list_streams,
    "ListTables" => list_tables,
    "ListTagsOfResource" => list_tags_of_resource,
    "PutItem" => put_item,
    "Query" => query,
    "Scan" => scan,
    "TagResource" => tag_resource,
    "TransactGetItems" => transact_get_items,
    "TransactWriteItems" => transact_write_items,
    "UntagResource" => untag_resource,
    "UpdateItem" => update_item,
    "UpdateTable" => update_table,
    "UpdateTimeToLive" => update_time_to_live,
}

fn answer<Q: DeserializeOwned, A: Serialize>(
    body: &[u8],
    act: impl FnOnce(Q) -> dynoxide::Result<A>,
) -> Result<String, DynoxideError> {
    let request = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    serde_json::to_string(&act(request)?)
        .map_err(|error| DynoxideError::InternalServerError(error.to_string()))
}

/// `dynoxide` marks a value that DynamoDB reads and then refuses, such as a number without digits.
fn unreadable(error: &serde_json::Error) -> DynoxideError {
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(&*text, |(text, _)| text);
    match text.split_once(':') {
        Some(("VALIDATION" | "VALIDATION_AS_READ" | "VALIDATION_REQUEST", problem)) => {
            DynoxideError::ValidationException(problem.to_owned())
        }
        Some(("SERIALIZATION" | "SERIALIZATION_AS_READ", problem)) => {
            DynoxideError::SerializationException(problem.to_owned())
        }
        _ => DynoxideError::SerializationException(text.to_owned()),
    }
}
