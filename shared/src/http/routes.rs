//! The routes of the HTTP API, in one list.
//!
//! `submit` and `status` dispatch by it, and the local gateway derives its route keys from it.
//! Tests hold the template, `infra/openapi.yaml`, cargo-lambda's router and the README to it.

use super::problem::Problem;
use super::request::Request;

/// Every route.
pub const ROUTES: [Route; 13] = [
    Route::SubmitOperation,
    Route::CallForrst,
    Route::CallMcp,
    Route::ListOperations,
    Route::ReadOperation,
    Route::EraseOperation,
    Route::CancelOperation,
    Route::RedeliverCallback,
    Route::RedriveOperation,
    Route::ListFunctions,
    Route::Health,
    Route::ProtectedResource,
    Route::ProtectedMcp,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    SubmitOperation,
    CallForrst,
    CallMcp,
    ListOperations,
    ReadOperation,
    EraseOperation,
    CancelOperation,
    RedeliverCallback,
    RedriveOperation,
    ListFunctions,
    Health,
    /// How MCP clients find the authorization server (RFC 9728, section 3). Some look for it under
    /// the path of the route that they call, others at the root.
    ProtectedResource,
    ProtectedMcp,
}

/// A Lambda function that answers HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpFunction {
    Submit,
    Status,
}

impl Route {
    const fn parts(self) -> (&'static str, &'static str, HttpFunction) {
        use HttpFunction::{Status, Submit};
        match self {
            Self::SubmitOperation => ("POST", "/operations", Submit),
            Self::CallForrst => ("POST", "/forrst", Submit),
            Self::CallMcp => ("POST", "/mcp", Submit),
            Self::ListOperations => ("GET", "/operations", Status),
            Self::ReadOperation => ("GET", "/operations/{id}", Status),
            Self::EraseOperation => ("DELETE", "/operations/{id}", Status),
            Self::CancelOperation => ("POST", "/operations/{id}/cancel", Status),
            Self::RedeliverCallback => ("POST", "/operations/{id}/redeliver", Status),
            Self::RedriveOperation => ("POST", "/operations/{id}/redrive", Submit),
            Self::ListFunctions => ("GET", "/functions", Status),
            Self::Health => ("GET", "/health", Status),
            Self::ProtectedResource => ("GET", "/.well-known/oauth-protected-resource", Status),
            Self::ProtectedMcp => ("GET", "/.well-known/oauth-protected-resource/mcp", Status),
        }
    }

    /// A route with `GET` answers `HEAD` too.
    #[must_use]
    pub const fn method(self) -> &'static str {
        self.parts().0
    }

    /// In API Gateway's form: `{id}` is the operation's id.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.parts().1
    }

    #[must_use]
    pub const fn function(self) -> HttpFunction {
        self.parts().2
    }

    /// Whether the route needs no authorizer.
    #[must_use]
    pub const fn is_public(self) -> bool {
        matches!(
            self,
            Self::Health | Self::ProtectedResource | Self::ProtectedMcp
        )
    }

    /// The path with an operation's id in it.
    #[must_use]
    pub fn path_of(self, id: &str) -> String {
        self.path().replace("{id}", id)
    }

    /// The route of a request, by its method and the path of its route key.
    ///
    /// # Errors
    ///
    /// 405 with `Allow` when the path has no such method. 404 when no route has the path. The
    /// gateway refuses such a request itself, so one that arrives here shows that its routes differ
    /// from this list.
    pub fn of(request: &Request) -> Result<Self, Problem> {
        let (method, path) = (request.method.as_str(), request.route.as_str());
        if let Some(route) = find(method, path) {
            return Ok(route);
        }
        Err(match allow(path) {
            allow if allow.is_empty() => Problem::no_such_operation(),
            allow => Problem::method_not_allowed(&allow),
        })
    }
}

impl HttpFunction {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Status => "status",
        }
    }
}

/// `HEAD` has the route of `GET` (RFC 9110, section 9.3.2).
fn find(method: &str, path: &str) -> Option<Route> {
    let method = if method == "HEAD" { "GET" } else { method };
    ROUTES
        .into_iter()
        .find(|route| route.method() == method && route.path() == path)
}

/// The value of `Allow` for a path; empty when no route has it.
fn allow(path: &str) -> String {
    let of_path = ROUTES.into_iter().filter(|route| route.path() == path);
    let mut methods: Vec<_> = of_path.map(Route::method).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_names_the_methods_of_every_route_of_a_path_in_order() {
        for (path, expected) in [
            ("/operations", "GET, HEAD, POST"),
            ("/operations/{id}", "DELETE, GET, HEAD"),
            ("/operations/{id}/cancel", "POST"),
            ("/operations/{id}/redeliver", "POST"),
            ("/operations/{id}/redrive", "POST"),
            ("/functions", "GET, HEAD"),
            ("/health", "GET, HEAD"),
            ("/forrst", "POST"),
            ("/mcp", "POST"),
            ("/.well-known/oauth-protected-resource", "GET, HEAD"),
            ("/operations/op_1", ""),
            ("/other", ""),
        ] {
            assert_eq!(allow(path), expected, "{path}");
        }
        for route in ROUTES {
            let allow = allow(route.path());
            assert!(allow.split(", ").any(|method| method == route.method()));
        }
    }

    #[test]
    fn a_route_is_found_by_its_method_and_path_and_head_by_get() {
        for route in ROUTES {
            assert_eq!(find(route.method(), route.path()), Some(route));
        }
        assert_eq!(find("HEAD", "/operations"), Some(Route::ListOperations));
        assert_eq!(find("HEAD", "/forrst"), None);
        assert_eq!(find("PUT", "/operations"), None);
    }

    #[test]
    fn only_the_second_segment_of_a_path_is_a_variable() {
        // `Request` relies on it where an event's route key has no path.
        for route in ROUTES {
            let variables = route.path().split('/').enumerate();
            let mut variables = variables.filter(|(_, segment)| segment.contains(['{', '}']));
            assert!(variables.all(|variable| variable == (2, "{id}")));
        }
    }
}
