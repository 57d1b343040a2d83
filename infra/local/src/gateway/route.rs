//! The route keys of the HTTP API, and how a request finds its route.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>

use std::collections::BTreeMap;
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use shared::http::{HttpFunction, ROUTES, Route};

/// The method in the key of a route that takes every method.
const ANY: &str = "ANY";

/// A route as the template configures it.
#[derive(Debug, PartialEq, Eq)]
pub struct GatewayRoute {
    /// Method, or `ANY`, and path.
    pub key: String,
    pub function: HttpFunction,
    /// Whether requests need no authorizer.
    pub is_public: bool,
    method: &'static str,
    path: &'static str,
}

/// A request's route, with the values of its path parameters.
#[derive(Debug, PartialEq, Eq)]
pub struct MatchedRoute {
    pub route: &'static GatewayRoute,
    pub parameters: BTreeMap<&'static str, String>,
}

static GATEWAY_ROUTES: LazyLock<Vec<GatewayRoute>> = LazyLock::new(derive);

/// Every route of the HTTP API.
#[must_use]
pub fn gateway_routes() -> &'static [GatewayRoute] {
    &GATEWAY_ROUTES
}

/// Each path takes every method, so that a function answers 405 with `Allow` to one that the path
/// does not have. Where both functions serve a path, that is `status`, and a route of `submit` has
/// a key with its own method.
fn derive() -> Vec<GatewayRoute> {
    let mut routes: Vec<GatewayRoute> = Vec::new();
    for route in ROUTES {
        let has_own_key =
            route.function() == HttpFunction::Submit && serves(HttpFunction::Status, route.path());
        let method = if has_own_key { route.method() } else { ANY };
        let key = format!("{method} {}", route.path());
        match routes.iter_mut().find(|derived| derived.key == key) {
            Some(derived) => derived.is_public &= route.is_public(),
            None => routes.push(GatewayRoute {
                key,
                function: route.function(),
                is_public: route.is_public(),
                method,
                path: route.path(),
            }),
        }
    }
    routes
}

fn serves(function: HttpFunction, path: &str) -> bool {
    let is_one = |route: Route| route.function() == function && route.path() == path;
    ROUTES.into_iter().any(is_one)
}

/// The route of a request. A route with the request's own method wins over `ANY`.
#[must_use]
pub fn find_route(method: &str, path: &str) -> Option<MatchedRoute> {
    let mut fallback = None;
    for route in gateway_routes() {
        let Some(parameters) = capture(route.path, path) else {
            continue;
        };
        let matched = MatchedRoute { route, parameters };
        if route.method == method {
            return Some(matched);
        }
        if route.method == ANY {
            fallback = Some(matched);
        }
    }
    fallback
}

/// Compares segment by segment and decodes each after the split, so that an encoded slash stays
/// within its segment. Nothing is normalized: a trailing or a double slash makes an empty segment,
/// which no route matches, since a variable does not match an empty segment.
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
    fn each_path_has_one_route_for_any_method_and_a_submit_its_own() {
        let routes = gateway_routes().iter();
        let routes = routes.map(|route| (route.key.as_str(), route.function, route.is_public));
        let expected = [
            ("POST /operations", HttpFunction::Submit, false),
            ("ANY /forrst", HttpFunction::Submit, false),
            ("ANY /mcp", HttpFunction::Submit, false),
            ("ANY /operations", HttpFunction::Status, false),
            ("ANY /operations/{id}", HttpFunction::Status, false),
            ("ANY /operations/{id}/cancel", HttpFunction::Status, false),
            (
                "ANY /operations/{id}/redeliver",
                HttpFunction::Status,
                false,
            ),
            ("ANY /operations/{id}/redrive", HttpFunction::Submit, false),
            ("ANY /functions", HttpFunction::Status, false),
            ("ANY /health", HttpFunction::Status, true),
            (
                "ANY /.well-known/oauth-protected-resource",
                HttpFunction::Status,
                true,
            ),
            (
                "ANY /.well-known/oauth-protected-resource/mcp",
                HttpFunction::Status,
                true,
            ),
        ];
        assert_eq!(routes.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_route_with_the_method_of_the_request_wins_over_any() {
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
            let matched = find_route(method, path);
            let key_and_id = matched.as_ref().map(|matched| {
                let id = matched.parameters.get("id").map_or("", String::as_str);
                (matched.route.key.as_str(), id)
            });
            assert_eq!(key_and_id, expected, "{method} {path}");
        }
    }
}
