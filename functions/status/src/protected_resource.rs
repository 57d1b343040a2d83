//! `GET /.well-known/oauth-protected-resource`: where a client of `/mcp` gets its token (RFC 9728).

use serde::Serialize;
use shared::config::Environment;
use shared::domain::json::encode;
use shared::http::{Problem, Request, Response, Route};
use shared::request::ErrorCode;

/// The authorization of the API by OAuth, where its authorizer takes an issuer's tokens.
pub(crate) struct ProtectedResource {
    issuer: String,
    scopes: Vec<String>,
}

/// Protected resource metadata (RFC 9728, section 2).
#[derive(Serialize)]
struct Metadata<'a> {
    resource: String,
    authorization_servers: [&'a str; 1],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    scopes_supported: &'a [String],
    bearer_methods_supported: [&'static str; 1],
}

impl ProtectedResource {
    /// From `JWT_ISSUER` and `JWT_SCOPES`, which are separated by commas. `None` without an issuer:
    /// other authorizers have no such document.
    pub(crate) fn new(environment: &Environment) -> Option<Self> {
        let issuer = environment.optional("JWT_ISSUER")?.to_owned();
        let scopes = environment.optional("JWT_SCOPES").unwrap_or_default();
        let scopes = scopes.split(',').map(|scope| scope.trim().to_owned());
        Some(Self {
            issuer,
            scopes: scopes.filter(|scope| !scope.is_empty()).collect(),
        })
    }

    /// The response of an API with another authorizer. The code is the only one of a 404 that names
    /// no function.
    pub(crate) fn missing() -> Problem {
        let detail = "the API's authorizer takes no issuer's tokens";
        Problem::new(ErrorCode::AsyncOperationNotFound, detail)
    }

    /// The document, which changes with a deployment only.
    pub(crate) fn show(&self, request: &Request) -> Response {
        let metadata = Metadata {
            resource: format!("{}{}", request.base_url, Route::CallMcp.path()),
            authorization_servers: [&self.issuer],
            scopes_supported: &self.scopes,
            bearer_methods_supported: ["header"],
        };
        Response::json(200, encode(&metadata)).with("cache-control", "public, max-age=3600")
    }
}
