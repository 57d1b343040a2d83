//! The list: its query and its body.

use serde::Serialize;

use super::cursor::Cursor;
use super::operation::OperationView;
use super::problem::{FieldError, Problem};
use crate::domain::json::encode;
use crate::domain::limits::{FAULTS_MAX, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX};
use crate::domain::operation::Owner;
use crate::domain::time::{Moment, Timestamp};
use crate::domain::transition::Status;
use crate::store::{ListFilter, ListPage, Position};

/// What the pointer to a parameter of a query begins with.
const QUERY: &str = "/query";
const TIME_RULE: &str = "must be an RFC 3339 date and time";

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
        let mut parameters = Parameters::at(QUERY);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            parameters.set(&name, &value);
        }
        parameters.finish(owner).map_err(Problem::fields)
    }

    /// Where a page leaves off, for whoever asks for the next one.
    pub fn next_cursor(&self, page: &ListPage, owner: &Owner) -> Option<String> {
        let cursor = Cursor {
            owner,
            filter: &self.filter,
        };
        page.next.as_ref().map(|position| cursor.encode(position))
    }
}

/// The parameters of a list as they are read, one by one, wherever they stand in the request.
#[derive(Debug, Default)]
pub struct Parameters {
    /// What the pointer to a parameter begins with.
    base: &'static str,
    filter: ListFilter,
    limit: Option<usize>,
    cursor: Option<String>,
    seen: Vec<String>,
    errors: Vec<FieldError>,
}

impl Parameters {
    pub fn at(base: &'static str) -> Self {
        Self {
            base,
            ..Self::default()
        }
    }

    fn wrong(&mut self, name: &str, detail: impl Into<String>) {
        let pointer = format!("{}/{name}", self.base);
        self.errors.push(FieldError::new(pointer, detail));
    }

    /// Reads one, as text.
    pub fn set(&mut self, name: &str, value: &str) {
        // One more than are named, which says that there are more.
        if self.errors.len() > FAULTS_MAX {
            return;
        }
        if self.seen.iter().any(|seen| seen == name) {
            return self.wrong(name, "is given more than once");
        }
        self.seen.push(name.to_owned());
        match name {
            "status" => match Status::parse(value) {
                Some(status) => self.filter.status = Some(status),
                None => self.wrong(
                    name,
                    "must be pending, processing, completed, failed or cancelled",
                ),
            },
            "function" => self.filter.function = Some(value.to_owned()),
            "created_after" | "created_before" => match Moment::parse(value) {
                // Creation times are whole milliseconds: one that is later than a moment is later than its floor.
                Some(moment) if name == "created_after" => {
                    self.filter.created_after = Some(moment.floor());
                }
                Some(moment) => self.filter.created_before = Some(moment.ceil()),
                None if self.base == QUERY && value.contains(' ') => {
                    self.wrong(name, format!("{TIME_RULE}; in a query a + is written %2B"));
                }
                None => self.wrong(name, TIME_RULE),
            },
            "limit" => {
                match whole_number(value).filter(|limit| (1..=LIST_LIMIT_MAX).contains(limit)) {
                    Some(limit) => self.limit = Some(limit),
                    None => self.wrong(
                        name,
                        format!("must be a whole number from 1 to {LIST_LIMIT_MAX}"),
                    ),
                }
            }
            "cursor" => self.cursor = Some(value.to_owned()),
            _ => self.wrong(name, "is not a parameter of this request"),
        }
    }

    /// The list that they ask for.
    ///
    /// # Errors
    ///
    /// Every parameter that is wrong.
    pub fn finish(mut self, owner: &Owner) -> Result<ListRequest, Vec<FieldError>> {
        // Last, since it is bound to all the others.
        let from = self.cursor.take().and_then(|text| {
            let cursor = Cursor {
                owner,
                filter: &self.filter,
            };
            let position = cursor.decode(&text);
            if position.is_none() {
                self.wrong("cursor", "is not a cursor of this list");
            }
            position
        });
        if self.errors.is_empty() {
            Ok(ListRequest {
                filter: self.filter,
                limit: self.limit.unwrap_or(LIST_LIMIT_DEFAULT),
                from,
            })
        } else {
            Err(self.errors)
        }
    }
}

/// Digits alone: a query has no other form of a number.
fn whole_number(value: &str) -> Option<usize> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().ok()).flatten()
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
    let body = Body {
        operations: page
            .operations
            .iter()
            .map(|operation| OperationView::summary(operation, now))
            .collect(),
        next_cursor: request.next_cursor(page, owner),
    };
    encode(&body)
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
    fn times_are_compared_exactly_whatever_their_precision() {
        let base = "2026-01-01T00:00:00";
        let millis = Timestamp::parse(&format!("{base}Z")).unwrap().as_millis();
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
    fn a_plus_that_was_not_encoded_is_named() {
        let owner = Owner::new("jwt", "alice").unwrap();
        let detail =
            |parameters: Parameters| parameters.finish(&owner).unwrap_err()[0].detail.clone();
        for (query, is_named) in [
            ("created_after=2026-01-01T00:00:00+01:00", true),
            ("created_before=2026-01-01T00:00:00.5+01:00", true),
            ("created_before=2026-01-01T00:00+01:00", true),
            ("created_after=yesterday", false),
            ("created_after=2026-01-01T00:00:00%2B0100", false),
        ] {
            let problem = ListRequest::parse(query, &owner).unwrap_err();
            let is_in = problem.errors[0].detail.contains("%2B");
            assert_eq!(is_in, is_named, "{query}");
        }
        // JSON knows no percent-encoding.
        let mut parameters = Parameters::at("/call/arguments");
        parameters.set("created_after", "2026-01-01T00:00:00 01:00");
        assert!(!detail(parameters).contains("%2B"));
    }

    #[test]
    fn whatever_is_wrong_is_named() {
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
