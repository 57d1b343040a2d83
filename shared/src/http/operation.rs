//! The response that shows an operation.

use super::etag::ETag;
use super::problem::Problem;
use super::response::Response;
use crate::domain::json::encode;
use crate::domain::operation::Operation;
use crate::domain::time::Timestamp;
use crate::store::Payloads;
use crate::view::{OperationView, Quantity};

/// Whether a read asks for the operation's arguments: `include=arguments` in its query.
///
/// # Errors
///
/// When it asks to include something else.
pub fn includes_arguments(query: &str) -> Result<bool, Problem> {
    let parameters = url::form_urlencoded::parse(query.as_bytes());
    let mut values = parameters.filter(|(name, _)| name == "include");
    let refuse = |detail| Err(Problem::field("/query/include", detail));
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(_), Some(_)) => refuse("is given more than once"),
        (Some((_, value)), None) if value == "arguments" => Ok(true),
        (Some(_), None) => refuse("must be arguments"),
    }
}

/// Shows an operation with metadata and result, with its `ETag`, and with `Retry-After` until it
/// has ended.
#[must_use]
pub fn show(operation: &Operation, payloads: &Payloads, status: u16, now: Timestamp) -> Response {
    let view = OperationView::whole(operation, payloads, now);
    let response = Response::json(status, encode(&view))
        .with("cache-control", "private, no-cache")
        .with("etag", ETag::of(operation).to_string());
    match view.retry_after {
        Some(Quantity { value, .. }) => response.with("retry-after", value.to_string()),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_included_on_request_only() {
        for (query, expected) in [
            ("", Ok(false)),
            ("other=1", Ok(false)),
            ("include=arguments", Ok(true)),
            ("a=b&include=%61rguments", Ok(true)),
            ("include=", Err("must be arguments")),
            ("include=result", Err("must be arguments")),
            ("include=arguments,result", Err("must be arguments")),
            (
                "include=arguments&include=arguments",
                Err("is given more than once"),
            ),
        ] {
            let found = includes_arguments(query).map_err(|problem| {
                assert_eq!(problem.errors[0].pointer, "/query/include");
                problem.errors[0].detail.clone()
            });
            assert_eq!(found, expected.map_err(str::to_owned), "{query}");
        }
    }
}
