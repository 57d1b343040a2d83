//! Which operations a list shows.

use super::cursor::Cursor;
use super::fields::{FieldError, TIME_RULE};
use crate::domain::callback::CallbackStatus;
use crate::domain::limits::{ERRORS_LISTED_MAX, LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX};
use crate::domain::operation::Owner;
use crate::domain::time::Moment;
use crate::domain::transition::Status;
use crate::store::{ListFilter, ListPage, Position};

/// A page of a list, as an owner asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    pub filter: ListFilter,
    /// Operations at most.
    pub limit: usize,
    /// Where the page begins; `None` for the newest operation.
    pub from: Option<Position>,
}

impl ListRequest {
    /// The cursor of the next page; `None` when `page` is the last.
    #[must_use]
    pub fn next_cursor(&self, page: &ListPage, owner: &Owner) -> Option<String> {
        let cursor = Cursor {
            owner,
            filter: &self.filter,
        };
        page.next.as_ref().map(|position| cursor.encode(position))
    }
}

/// Reads the parameters of a list one by one, wherever the request has them.
#[derive(Debug)]
pub struct ListParameters {
    /// The parent of each parameter's pointer.
    base: &'static str,
    /// Whether a parameter comes from a query string, in which an unencoded + is a space.
    in_query: bool,
    filter: ListFilter,
    limit: Option<usize>,
    cursor: Option<String>,
    seen: Vec<String>,
    errors: Vec<FieldError>,
}

impl ListParameters {
    /// Parameters in the members of the object at `base`, an RFC 6901 pointer.
    #[must_use]
    pub fn at(base: &'static str) -> Self {
        Self {
            base,
            in_query: false,
            filter: ListFilter::default(),
            limit: None,
            cursor: None,
            seen: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Parameters in a query string.
    #[must_use]
    pub fn in_query() -> Self {
        Self {
            in_query: true,
            ..Self::at("/query")
        }
    }

    fn reject(&mut self, name: &str, detail: impl Into<String>) {
        let pointer = format!("{}/{name}", self.base);
        self.errors.push(FieldError::new(pointer, detail));
    }

    /// Reads one parameter, as text.
    pub fn set(&mut self, name: &str, value: &str) {
        // One more than a response lists shows that there are more.
        if self.errors.len() > ERRORS_LISTED_MAX {
            return;
        }
        if self.seen.iter().any(|seen| seen == name) {
            return self.reject(name, "is given more than once");
        }
        self.seen.push(name.to_owned());
        match name {
            "status" => {
                if let Some(statuses) = statuses(value) {
                    self.filter.statuses = statuses;
                } else {
                    let rule = one_of(Status::ALL.map(Status::as_str));
                    self.reject(name, format!("{rule}, or several of them with commas"));
                }
            }
            "callback_status" => {
                if let Ok(status) = value.parse::<CallbackStatus>() {
                    self.filter.callback_status = Some(status);
                } else {
                    let rule = one_of(CallbackStatus::ALL.map(CallbackStatus::as_str));
                    self.reject(name, rule);
                }
            }
            "function" => self.filter.function = Some(value.to_owned()),
            "created_after" | "created_before" => match value.parse::<Moment>() {
                // Creation times are whole milliseconds: one that is later than a moment is later
                // than its floor.
                Ok(moment) if name == "created_after" => {
                    self.filter.created_after = Some(moment.floor());
                }
                Ok(moment) => self.filter.created_before = Some(moment.ceil()),
                Err(_) if self.in_query && value.contains(' ') => {
                    self.reject(name, format!("{TIME_RULE}; in a query a + is written %2B"));
                }
                Err(_) => self.reject(name, TIME_RULE),
            },
            "limit" => {
                match whole_number(value).filter(|limit| (1..=LIST_LIMIT_MAX).contains(limit)) {
                    Some(limit) => self.limit = Some(limit),
                    None => self.reject(
                        name,
                        format!("must be a whole number from 1 to {LIST_LIMIT_MAX}"),
                    ),
                }
            }
            "cursor" => self.cursor = Some(value.to_owned()),
            _ => self.reject(name, "is not a parameter of this request"),
        }
    }

    /// The page that the parameters ask for.
    ///
    /// # Errors
    ///
    /// Every parameter that is wrong.
    pub fn finish(mut self, owner: &Owner) -> Result<ListRequest, Vec<FieldError>> {
        // Last, since a cursor is bound to all other parameters.
        let from = self.cursor.take().and_then(|text| {
            let cursor = Cursor {
                owner,
                filter: &self.filter,
            };
            let position = cursor.decode(&text);
            if position.is_none() {
                self.reject("cursor", "is not a cursor of this list");
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

/// In the order of [`Status::ALL`], so that one filter has one cursor.
fn statuses(value: &str) -> Option<Vec<Status>> {
    let named: Result<Vec<Status>, _> = value.split(',').map(str::parse).collect();
    let named = named.ok()?;
    let all = Status::ALL.into_iter();
    Some(all.filter(|status| named.contains(status)).collect())
}

fn one_of<const N: usize>(names: [&str; N]) -> String {
    let (last, most) = names.split_last().expect("there are names");
    format!("must be {} or {last}", most.join(", "))
}

/// Digits only: a query has no other form of a number.
fn whole_number(value: &str) -> Option<usize> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().ok()).flatten()
}
