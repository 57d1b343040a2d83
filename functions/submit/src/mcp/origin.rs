//! The pages that may call `/mcp` from a browser (MCP, Streamable HTTP, "Security & Endpoint").

use shared::config::{Environment, SettingError};
use shared::http::Request;

/// The origins of pages that may call.
#[derive(Debug)]
pub(crate) struct AllowedOrigins {
    listed: Vec<String>,
    /// The local gateway lets only pages of this machine and of allowed origins pass.
    checked_by_gateway: bool,
}

impl AllowedOrigins {
    /// From `CORS_ALLOWED_ORIGINS`, the origins of the gateway's CORS configuration separated by
    /// commas. `*` allows any.
    ///
    /// # Errors
    ///
    /// When `LOCAL_BUNDLE` is malformed.
    pub(crate) fn new(environment: &Environment) -> Result<Self, SettingError> {
        let listed = environment
            .optional("CORS_ALLOWED_ORIGINS")
            .unwrap_or_default();
        let listed = listed.split(',').map(|origin| origin.trim().to_owned());
        Ok(Self {
            listed: listed.filter(|origin| !origin.is_empty()).collect(),
            checked_by_gateway: environment.switch("LOCAL_BUNDLE")?,
        })
    }

    /// Whether a request comes from a program or from a page that may call: of the API's own
    /// origin, or of an allowed one.
    pub(super) fn allow(&self, request: &Request) -> bool {
        let Some(origin) = request.header("origin") else {
            return true;
        };
        self.checked_by_gateway
            || origin.eq_ignore_ascii_case(origin_of(&request.base_url))
            || self
                .listed
                .iter()
                .any(|listed| listed == "*" || listed.eq_ignore_ascii_case(origin))
    }
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> &str {
    let path = url.match_indices('/').nth(2);
    path.map_or(url, |(index, _)| &url[..index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_ends_before_the_path() {
        for (url, origin) in [
            ("https://api.example.com", "https://api.example.com"),
            ("https://api.example.com/v1", "https://api.example.com"),
            (
                "https://api.example.com:8443/v1/x",
                "https://api.example.com:8443",
            ),
        ] {
            assert_eq!(origin_of(url), origin);
        }
    }
}
