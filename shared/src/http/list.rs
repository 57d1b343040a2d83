//! The list: its query and its body.

use serde::Serialize;

use super::problem::Problem;
use crate::domain::json::encode;
use crate::domain::operation::Owner;
use crate::domain::time::Timestamp;
use crate::request::{ListParameters, ListRequest};
use crate::store::ListPage;
use crate::view::OperationView;

/// Reads a query string. Unknown and repeated parameters are refused: a misspelt filter would show
/// everything.
///
/// # Errors
///
/// Every parameter that is wrong.
pub fn list_request(query: &str, owner: &Owner) -> Result<ListRequest, Problem> {
    let mut parameters = ListParameters::in_query();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        parameters.set(&name, &value);
    }
    parameters.finish(owner).map_err(Problem::fields)
}

#[must_use]
pub fn list_body(page: &ListPage, request: &ListRequest, owner: &Owner, now: Timestamp) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        operations: Vec<OperationView<'a>>,
        examined: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<String>,
    }
    let body = Body {
        operations: page
            .operations
            .iter()
            .map(|operation| OperationView::summary(operation, now))
            .collect(),
        examined: page.examined,
        next_cursor: request.next_cursor(page, owner),
    };
    encode(&body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::callback::CallbackStatus;
    use crate::domain::transition::Status;
    use crate::store::ListFilter;

    fn parse(query: &str) -> Result<ListRequest, Vec<String>> {
        let owner = Owner::new("jwt", "alice").unwrap();
        list_request(query, &owner).map_err(|problem| {
            problem
                .errors
                .into_iter()
                .map(|error| error.pointer)
                .collect()
        })
    }

    #[test]
    fn an_empty_query_lists_everything() {
        let all = ListRequest {
            filter: ListFilter::default(),
            limit: 50,
            from: None,
        };
        assert_eq!(parse(""), Ok(all));
    }

    #[test]
    fn every_parameter_is_read() {
        let read = parse(
            "status=failed,pending,failed&callback_status=gone&function=csv.summarize&created_after=2026-01-01T00%3A00%3A00Z\
             &created_before=2026-01-02T00:00:00%2B01:00&limit=100",
        )
        .unwrap();
        assert_eq!(read.filter.statuses, [Status::Pending, Status::Failed]);
        assert_eq!(read.filter.callback_status, Some(CallbackStatus::Gone));
        assert_eq!(read.filter.function.as_deref(), Some("csv.summarize"));
        assert_eq!(
            read.filter.created_after.unwrap().to_string(),
            "2026-01-01T00:00:00.000Z"
        );
        assert_eq!(
            read.filter.created_before.unwrap().to_string(),
            "2026-01-01T23:00:00.000Z"
        );
        assert_eq!(read.limit, 100);
    }

    #[test]
    fn times_are_compared_exactly_whatever_their_precision() {
        let base = "2026-01-01T00:00:00";
        let millis = format!("{base}Z").parse::<Timestamp>().unwrap().as_millis();
        for (query, first, last) in [
            ("created_before=2026-01-01T00:00:00.000Z", None, Some(-1)),
            ("created_before=2026-01-01T00:00:00.0005Z", None, Some(0)),
            (
                "created_before=2026-01-01T00:00:00.0000000000001Z",
                None,
                Some(0),
            ),
            (
                "created_before=2026-01-01T01:00:00.0015%2B01:00",
                None,
                Some(1),
            ),
            ("created_after=2026-01-01T00:00:00.000Z", Some(1), None),
            ("created_after=2026-01-01T00:00:00.0005Z", Some(1), None),
            ("created_after=2025-12-31T23:59:59.9999Z", Some(0), None),
            (
                "created_after=2025-12-31T23:59:59.9999Z&created_before=2026-01-01T00:00:00.0001Z",
                Some(0),
                Some(0),
            ),
        ] {
            let filter = parse(query).unwrap().filter;
            let spans = |offset: i64| filter.spans(Timestamp::from_millis(millis + offset));
            let expected = |offset: i64| {
                first.is_none_or(|first| offset >= first) && last.is_none_or(|last| offset <= last)
            };
            for offset in -2..=3 {
                assert_eq!(spans(offset), expected(offset), "{query}, {offset}");
            }
        }
    }

    #[test]
    fn an_unencoded_plus_is_explained() {
        let owner = Owner::new("jwt", "alice").unwrap();
        let detail =
            |parameters: ListParameters| parameters.finish(&owner).unwrap_err()[0].detail.clone();
        for (query, is_explained) in [
            ("created_after=2026-01-01T00:00:00+01:00", true),
            ("created_before=2026-01-01T00:00:00.5+01:00", true),
            ("created_before=2026-01-01T00:00+01:00", true),
            ("created_after=yesterday", false),
            ("created_after=2026-01-01T00:00:00%2B0100", false),
        ] {
            let problem = list_request(query, &owner).unwrap_err();
            let is_in = problem.errors[0].detail.contains("%2B");
            assert_eq!(is_in, is_explained, "{query}");
        }
        // JSON knows no percent-encoding.
        let mut parameters = ListParameters::at("/call/arguments");
        parameters.set("created_after", "2026-01-01T00:00:00 01:00");
        assert!(!detail(parameters).contains("%2B"));
    }

    #[test]
    fn every_wrong_parameter_is_listed() {
        for (query, pointers) in [
            ("limit=0", vec!["/query/limit"]),
            ("limit=101", vec!["/query/limit"]),
            ("limit=1.0", vec!["/query/limit"]),
            ("limit=%2B5", vec!["/query/limit"]),
            ("limit=+5", vec!["/query/limit"]),
            ("limit=-0", vec!["/query/limit"]),
            ("limit=5e0", vec!["/query/limit"]),
            ("limit=%D9%A5", vec!["/query/limit"]),
            ("limit=99999999999999999999", vec!["/query/limit"]),
            ("limit=", vec!["/query/limit"]),
            ("limit=1&limit=2", vec!["/query/limit"]),
            ("status=Failed", vec!["/query/status"]),
            ("status=", vec!["/query/status"]),
            ("status=failed,", vec!["/query/status"]),
            ("status=failed%20pending", vec!["/query/status"]),
            ("callback_status=failed", vec!["/query/callback_status"]),
            ("callback_status=due,gone", vec!["/query/callback_status"]),
            (
                "created_after=yesterday&created_before=1",
                vec!["/query/created_after", "/query/created_before"],
            ),
            ("stauts=failed", vec!["/query/stauts"]),
            ("cursor=AAAA", vec!["/query/cursor"]),
            ("cursor=", vec!["/query/cursor"]),
        ] {
            assert_eq!(
                parse(query),
                Err(pointers.into_iter().map(str::to_owned).collect()),
                "{query}"
            );
        }
    }
}
