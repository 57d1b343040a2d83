//! The list: its query and its body.

use serde::Serialize;

use super::cursor::Cursor;
use super::operation::OperationView;
use super::problem::{FieldError, Problem};
use crate::domain::limits::{LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX};
use crate::domain::operation::Owner;
use crate::domain::time::Timestamp;
use crate::domain::transition::Status;
use crate::store::{ListFilter, ListPage, Position};

/// What a caller wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// Which operations.
    pub filter: ListFilter,
    /// How many at most.
    pub limit: usize,
    /// From where on.
    pub from: Option<Position>,
}

impl ListRequest {
    /// Reads a query string. Unknown and repeated parameters are refused: a misspelt filter would show everything.
    ///
    /// # Errors
    ///
    /// Every parameter that is wrong.
    pub fn parse(query: &str, owner: &Owner) -> Result<Self, Problem> {
        let mut filter = ListFilter::default();
        let mut limit = LIST_LIMIT_DEFAULT;
        let mut cursor = None;
        let mut seen = Vec::new();
        let mut errors = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let mut wrong =
                |detail: &str| errors.push(FieldError::new(format!("/query/{name}"), detail));
            if seen.contains(&name) {
                wrong("is given more than once");
                continue;
            }
            match &*name {
                "status" => match Status::parse(&value) {
                    Some(status) => filter.status = Some(status),
                    None => wrong("must be pending, processing, completed, failed or cancelled"),
                },
                "function" => filter.function = Some(value.into_owned()),
                "created_after" | "created_before" => match Timestamp::parse(&value) {
                    Some(time) if name == "created_after" => filter.created_after = Some(time),
                    Some(time) => filter.created_before = Some(time),
                    None => wrong("must be an RFC 3339 date and time"),
                },
                "limit" => match value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=LIST_LIMIT_MAX).contains(limit))
                {
                    Some(number) => limit = number,
                    None => wrong(&format!(
                        "must be a whole number from 1 to {LIST_LIMIT_MAX}"
                    )),
                },
                "cursor" => cursor = Some(value.into_owned()),
                _ => wrong("is not a parameter of this request"),
            }
            seen.push(name);
        }
        // Last, since it is bound to all the others.
        let from = cursor.and_then(|text| {
            let position = Cursor {
                owner,
                filter: &filter,
            }
            .decode(&text);
            if position.is_none() {
                errors.push(FieldError::new(
                    "/query/cursor",
                    "is not a cursor of this list",
                ));
            }
            position
        });
        if errors.is_empty() {
            Ok(Self {
                filter,
                limit,
                from,
            })
        } else {
            Err(Problem::fields(errors))
        }
    }
}

/// The body of a page.
#[must_use]
pub fn list_body(page: &ListPage, request: &ListRequest, owner: &Owner, now: Timestamp) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        operations: Vec<OperationView<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<String>,
    }
    let cursor = Cursor {
        owner,
        filter: &request.filter,
    };
    let body = Body {
        operations: page
            .operations
            .iter()
            .map(|operation| OperationView::summary(operation, now))
            .collect(),
        next_cursor: page.next.as_ref().map(|position| cursor.encode(position)),
    };
    // Views have string keys and finite numbers only, so writing them cannot fail.
    serde_json::to_string(&body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<ListRequest, Vec<String>> {
        let owner = Owner::new("jwt", "alice").unwrap();
        ListRequest::parse(query, &owner).map_err(|problem| {
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
            "status=failed&function=csv.summarize&created_after=2026-01-01T00%3A00%3A00Z\
             &created_before=2026-01-02T00:00:00%2B01:00&limit=100",
        )
        .unwrap();
        assert_eq!(read.filter.status, Some(Status::Failed));
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
    fn whatever_is_wrong_is_named() {
        for (query, pointers) in [
            ("limit=0", vec!["/query/limit"]),
            ("limit=101", vec!["/query/limit"]),
            ("limit=1.0", vec!["/query/limit"]),
            ("limit=", vec!["/query/limit"]),
            ("limit=1&limit=2", vec!["/query/limit"]),
            ("status=Failed", vec!["/query/status"]),
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
