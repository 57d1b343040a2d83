//! The route table, and how a request finds its route.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>

use std::collections::BTreeMap;

use axum::http::Method;
use percent_encoding::percent_decode_str;

/// One route of the HTTP API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Method, or `ANY`, and path, as the template and the event spell it.
    pub key: &'static str,
    /// The function behind it.
    pub handler: Handler,
    /// Whether the authorizer stands before it.
    pub authorized: bool,
}

/// A function that answers HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    /// `functions/submit`.
    Submit,
    /// `functions/status`.
    Status,
}

/// Every route. Methods that a path does not know reach `status` too, which answers 405 with `Allow`.
pub const ROUTES: &[Route] = &[
    Route::new("POST /operations", Handler::Submit),
    Route::new("ANY /forrst", Handler::Submit),
    Route::new("ANY /operations", Handler::Status),
    Route::new("ANY /operations/{id}", Handler::Status),
    Route::new("ANY /operations/{id}/cancel", Handler::Status),
    Route::new("ANY /operations/{id}/redeliver", Handler::Status),
    Route::new("ANY /functions", Handler::Status),
    Route {
        authorized: false,
        ..Route::new("ANY /health", Handler::Status)
    },
];

impl Route {
    const fn new(key: &'static str, handler: Handler) -> Self {
        Self {
            key,
            handler,
            authorized: true,
        }
    }
}

/// A route that was found, with what its variables stand for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) route: &'static Route,
    pub(super) parameters: BTreeMap<&'static str, String>,
}

/// The route for a request. A route with the request's own method wins over `ANY`.
pub(super) fn find(method: &Method, path: &str) -> Option<Found> {
    let mut fallback = None;
    for route in ROUTES {
        let Some((route_method, template)) = route.key.split_once(' ') else {
            continue;
        };
        let Some(parameters) = capture(template, path) else {
            continue;
        };
        let found = Found { route, parameters };
        if route_method == method.as_str() {
            return Some(found);
        }
        if route_method == "ANY" {
            fallback = Some(found);
        }
    }
    fallback
}

/// Matches segment by segment, each decoded after the split, so that an encoded slash stays within its segment. Nothing is
/// tidied up: a trailing or a double slash makes an empty segment, and no route has one, since a variable does not match
/// an empty one.
fn capture(template: &'static str, path: &str) -> Option<BTreeMap<&'static str, String>> {
    let mut parameters = BTreeMap::new();
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = percent_decode_str(segments.next()?).decode_utf8_lossy();
        let variable = expected
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        match variable {
            Some(name) if !segment.is_empty() => {
                parameters.insert(name, segment.into_owned());
            }
            None if segment == expected => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_finds_the_route_of_its_method_else_the_one_for_any() {
        for (method, path, expected) in [
            ("POST", "/operations", Some(("POST /operations", ""))),
            ("GET", "/operations", Some(("ANY /operations", ""))),
            ("PURGE", "/operations", Some(("ANY /operations", ""))),
            (
                "POST",
                "/operations/op_1",
                Some(("ANY /operations/{id}", "op_1")),
            ),
            (
                "GET",
                "/operations/a%2Fb%20c",
                Some(("ANY /operations/{id}", "a/b c")),
            ),
            (
                "GET",
                "/operations/a+b",
                Some(("ANY /operations/{id}", "a+b")),
            ),
            (
                "POST",
                "/operations/x/cancel",
                Some(("ANY /operations/{id}/cancel", "x")),
            ),
            (
                "POST",
                "/operations/x/redeliver",
                Some(("ANY /operations/{id}/redeliver", "x")),
            ),
            ("GET", "/health", Some(("ANY /health", ""))),
            ("GET", "/", None),
            ("GET", "/operations/", None),
            ("GET", "//operations", None),
            ("GET", "/operations//cancel", None),
            ("GET", "/operations/x/", None),
            ("GET", "/operations/x/cancel/", None),
            ("GET", "/operations/x/other", None),
            ("GET", "/Operations", None),
            ("OPTIONS", "*", None),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let found = find(&method, path);
            let seen = found.as_ref().map(|found| {
                let id = found.parameters.get("id").map_or("", String::as_str);
                (found.route.key, id)
            });
            assert_eq!(seen, expected, "{method} {path}");
        }
    }
}
