//! The result of a tool call, from the operation that did its work.

use serde::Serialize;
use serde_json::json;
use shared::domain::json::Json;
use shared::domain::operation::{FailureCode, Operation, OperationError, State};
use shared::domain::target_code::TargetCode;
use shared::view::ErrorView;

use super::error::RpcError;

/// The most text of a result that a model reads, in bytes. The structured result is whole.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The result of `tools/call`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolResult {
    content: Vec<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<Json>,
    is_error: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Content {
    r#type: &'static str,
    text: String,
}

impl Content {
    const fn text(text: String) -> Self {
        Self {
            r#type: "text",
            text,
        }
    }
}

impl ToolResult {
    /// A success: as text for models, and as it is for programs if it is an object. The text is
    /// JSON, except that a string is shown without quotes and escapes.
    #[must_use]
    pub(super) fn success(result: &Json) -> Self {
        let string: Option<String> = serde_json::from_str(result.as_str()).ok();
        let text = string.as_deref().unwrap_or(result.as_str());
        let shown = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        let mut content = vec![Content::text(shown.to_owned())];
        if shown.len() < text.len() {
            let (bytes, of) = (shown.len(), text.len());
            let whole = if result.is_object() {
                "structuredContent has all of them"
            } else {
                "ferry_get_operation has all of them, in structuredContent"
            };
            let note = format!("These are the first {bytes} of {of} bytes; {whole}.");
            content.push(Content::text(note));
        }
        Self {
            content,
            structured_content: result.is_object().then(|| result.clone()),
            is_error: false,
        }
    }

    /// An error that a model can read and perhaps correct.
    #[must_use]
    pub(super) fn error(texts: impl IntoIterator<Item = String>) -> Self {
        Self {
            content: texts.into_iter().map(Content::text).collect(),
            structured_content: None,
            is_error: true,
        }
    }
}

/// How a call ended: with a result, or with an error of the protocol.
pub(super) type Ended = Result<ToolResult, RpcError>;

/// The end of the call that started an operation; `None` until the operation ends.
#[must_use]
pub(super) fn ended(operation: &Operation, result: Option<&Json>) -> Option<Ended> {
    match &operation.state {
        State::Pending | State::Processing { .. } => None,
        State::Completed { .. } => {
            let result = result.expect("a completed operation is read with its result");
            Some(Ok(ToolResult::success(result)))
        }
        State::Failed { errors, .. } => Some(failed(operation, errors)),
        State::Cancelled { .. } => {
            let text = format!("the operation {} was cancelled", operation.id);
            Some(Ok(ToolResult::error([text])))
        }
    }
}

/// By the first error, which is the function's own last one.
fn failed(operation: &Operation, errors: &[OperationError]) -> Ended {
    if let Some(first) = errors.first().filter(|error| is_of_protocol(&error.code)) {
        let views: Vec<_> = errors.iter().map(ErrorView::from).collect();
        let data = json!({"operation_id": operation.id.as_str(), "errors": views});
        return Err(RpcError::failed(&first.message, &data));
    }
    Ok(ToolResult::error(errors.iter().map(text_of)))
}

fn text_of(
    OperationError {
        code,
        message,
        details,
    }: &OperationError,
) -> String {
    match details {
        Some(details) => format!("{code}: {message} {}", details.as_str()),
        None => format!("{code}: {message}"),
    }
}

/// Whether the work never ran to an end, so that no other arguments help.
fn is_of_protocol(code: &str) -> bool {
    let own = [
        FailureCode::InternalError,
        FailureCode::WorkerLost,
        FailureCode::FunctionNotFound,
        FailureCode::VersionNotFound,
    ];
    let of_targets = [
        TargetCode::Crashed,
        TargetCode::Lost,
        TargetCode::Unreachable,
        TargetCode::Unavailable,
        TargetCode::Throttled,
    ];
    let codes = own.map(FailureCode::as_str).into_iter();
    codes
        .chain(of_targets.map(TargetCode::as_str))
        .any(|known| known == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_json_for_models_and_an_object_also_structured() {
        for (result, text, is_structured) in [
            (r#"{"a":1.50}"#, r#"{"a":1.50}"#, true),
            ("{}", "{}", true),
            ("[1.50]", "[1.50]", false),
            ("null", "null", false),
            ("\"\"", "", false),
            (r#""caf\u00e9 \"x\"\n""#, "caf\u{e9} \"x\"\n", false),
        ] {
            let shown = ToolResult::success(&result.parse().unwrap());
            assert_eq!(shown.content[0].text, text);
            let structured = shown.structured_content.as_ref().map(Json::as_str);
            assert_eq!(structured, is_structured.then_some(result));
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "\u{e9}".repeat(TEXT_BYTES_MAX);
        let shown = ToolResult::success(&Json::of(&format!("x{text}")).unwrap());
        let cut = &shown.content[0].text;
        assert_eq!(cut.len(), TEXT_BYTES_MAX - 1);
        let bytes = 2 * TEXT_BYTES_MAX + 1;
        let note = format!(
            "These are the first {} of {bytes} bytes; ferry_get_operation has all of them, in \
             structuredContent.",
            cut.len()
        );
        assert_eq!(shown.content[1].text, note);
    }

    #[test]
    fn only_what_never_ran_to_an_end_is_an_error_of_the_protocol() {
        let of_protocol: Vec<_> = FailureCode::ALL
            .map(FailureCode::as_str)
            .into_iter()
            .chain(TargetCode::ALL.map(TargetCode::as_str))
            .chain(["OUT_OF_STOCK", ""])
            .filter(|code| is_of_protocol(code))
            .collect();
        assert_eq!(
            of_protocol,
            [
                "WORKER_LOST",
                "INTERNAL_ERROR",
                "FUNCTION_NOT_FOUND",
                "VERSION_NOT_FOUND",
                "TARGET_CRASHED",
                "TARGET_THROTTLED",
                "TARGET_UNAVAILABLE",
                "TARGET_UNREACHABLE",
                "TARGET_LOST",
            ]
        );
    }
}
