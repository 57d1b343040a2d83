//! The guard of every listener in this crate: it refuses the requests of web pages.
//!
//! The listeners do not authenticate their callers. The loopback interface keeps other machines
//! out, but not the pages in this machine's browser:
//!
//! - DNS rebinding: a page's host name later resolves to 127.0.0.1. The browser then takes the
//!   listener for the page's origin, and the page can read every response. `Host` still names the
//!   page's host.
//! - "Simple" cross-site requests, such as a POST of `text/plain`, need no preflight
//!   (<https://fetch.spec.whatwg.org/#http-cors-protocol>): the page cannot read the response, but
//!   the request takes effect. The browser names the page in `Origin`, and sends `Sec-Fetch-Site:
//!   cross-site` (<https://www.w3.org/TR/fetch-metadata/>).
//!
//! In case of doubt a request is refused. That includes subdomains of `localhost`, which some
//! resolvers send to other machines (RFC 6761, section 6.3), and a request without `Host`.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::net::TcpListener;
use url::{Host, Url};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

const LOOPBACK_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The port that a browser leaves out of `Host`.
const HTTP_PORT: u16 = 80;

/// The callers that the guard accepts besides programs and pages of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// More names in `Host`, with any port: for example this machine's name in its containers. An
    /// IPv6 address is in brackets.
    pub hosts: Vec<String>,
    /// Origins whose pages may call, in the form that browsers send.
    pub origins: Vec<String>,
}

impl Allowed {
    #[must_use]
    pub fn without_origins(&self) -> Self {
        Self {
            hosts: self.hosts.clone(),
            origins: Vec::new(),
        }
    }
}

/// Puts the guard in front of every route of `router`, and of its fallback.
///
/// # Errors
///
/// When the listener has no local address.
pub fn guarded(router: Router, listener: &TcpListener, allowed: Allowed) -> io::Result<Router> {
    let guard = Guard::new(listener.local_addr()?.port(), allowed);
    Ok(router.layer(from_fn_with_state(Arc::new(guard), pass)))
}

async fn pass(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let (request, body) = request.into_parts();
    if let Err(refusal) = guard.check(&request) {
        tracing::debug!(%refusal, "request refused");
        return refusal.into_response();
    }
    let mut response = next.run(Request::from_parts(request, body)).await;
    guard.restrict(response.headers_mut());
    response
}

struct Guard {
    /// `Host` for this listener.
    own_hosts: Vec<String>,
    allowed: Allowed,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("a request must have one Host header")]
    NoHost,
    #[error(
        "the Host {0:?} is refused: use localhost with this listener's port, or start local with \
         --allowed-host NAME"
    )]
    Host(String),
    #[error("pages of {0:?} are refused: --cors-origin ORIGIN lets an origin's pages call the API")]
    Origin(String),
    #[error(
        "pages of other sites are refused: --cors-origin ORIGIN lets an origin's pages call the API"
    )]
    CrossSite,
}

impl Guard {
    fn new(port: u16, allowed: Allowed) -> Self {
        let with_port = LOOPBACK_NAMES.map(|name| format!("{name}:{port}"));
        let mut own_hosts = Vec::from(with_port);
        if port == HTTP_PORT {
            own_hosts.extend(LOOPBACK_NAMES.map(str::to_owned));
        }
        Self { own_hosts, allowed }
    }

    fn check(&self, request: &Parts) -> Result<(), Refusal> {
        let mut hosts = request.headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::NoHost);
        };
        self.check_host(&text(host))?;
        // A target in absolute form takes precedence over `Host` (RFC 9112, section 3.2.2).
        if let Some(authority) = request.uri.authority() {
            self.check_host(authority.as_str())?;
        }
        let origins = request.headers.get_all(ORIGIN).iter();
        let origins: Vec<_> = origins.map(text).collect();
        for origin in &origins {
            if !self.allows_origin(origin) && !is_loopback_origin(origin) {
                return Err(Refusal::Origin(origin.clone()));
            }
        }
        let of_allowed_page = origins.iter().any(|origin| self.allows_origin(origin));
        let mut sites = request.headers.get_all(SEC_FETCH_SITE).iter().map(text);
        if !of_allowed_page && sites.any(|site| site.eq_ignore_ascii_case("cross-site")) {
            return Err(Refusal::CrossSite);
        }
        Ok(())
    }

    fn check_host(&self, host: &str) -> Result<(), Refusal> {
        let is_own = self
            .own_hosts
            .iter()
            .any(|own| own.eq_ignore_ascii_case(host));
        let mut allowed = self.allowed.hosts.iter();
        if is_own || allowed.any(|name| is_named(host, name)) {
            return Ok(());
        }
        Err(Refusal::Host(host.to_owned()))
    }

    fn allows_origin(&self, origin: &str) -> bool {
        self.allowed.origins.iter().any(|allowed| allowed == origin)
    }

    /// Only pages of allowed origins may read a response, whatever its handler sets.
    fn restrict(&self, headers: &mut HeaderMap) {
        let named = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN);
        let named = named.and_then(|origin| origin.to_str().ok());
        if !named.is_some_and(|origin| self.allows_origin(origin)) {
            headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"message": self.to_string()}).to_string();
        (
            StatusCode::FORBIDDEN,
            [(CONTENT_TYPE, "application/json")],
            body,
        )
            .into_response()
    }
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Whether `host` is `name`, with or without a port.
fn is_named(host: &str, name: &str) -> bool {
    let Some((start, port)) = host.split_at_checked(name.len()) else {
        return false;
    };
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let has_port = port.strip_prefix(':').is_some_and(digits);
    start.eq_ignore_ascii_case(name) && (port.is_empty() || has_port)
}

/// With any port and scheme: this machine serves such pages.
fn is_loopback_origin(origin: &str) -> bool {
    let Ok(url) = Url::parse(origin) else {
        return false;
    };
    // An origin has one form in browsers; `null` and longer URLs have another.
    let is_origin = url.origin().ascii_serialization() == origin;
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address == Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        None => false,
    };
    is_origin && is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: u16 = 3000;

    fn allowed() -> Allowed {
        Allowed {
            hosts: vec!["host.docker.internal".to_owned(), "[fd00::1]".to_owned()],
            origins: vec!["https://app.example.com".to_owned()],
        }
    }

    fn request(target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = axum::http::Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes());
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_host_is_a_loopback_name_with_the_listeners_port_or_an_allowed_name() {
        let none = Guard::new(PORT, Allowed::default());
        let some = Guard::new(PORT, allowed());
        let port_80 = Guard::new(HTTP_PORT, Allowed::default());
        for (hosts, expected) in [
            (&["localhost:3000"][..], [true, true, false]),
            (&["127.0.0.1:3000"], [true, true, false]),
            (&["[::1]:3000"], [true, true, false]),
            (&["LocalHost:3000"], [true, true, false]),
            (&["localhost"], [false, false, true]),
            (&["127.0.0.1"], [false, false, true]),
            (&["[::1]"], [false, false, true]),
            (&["localhost:80"], [false, false, true]),
            (&[], [false; 3]),
            (&[""], [false; 3]),
            (&["localhost:3000", "localhost:3000"], [false; 3]),
            (&["localhost:3000", "evil.example"], [false; 3]),
            (&["localhost:3001"], [false; 3]),
            (&["localhost:"], [false; 3]),
            (&["localhost:03000"], [false; 3]),
            (&["localhost.:3000"], [false; 3]),
            (&["app.localhost:3000"], [false; 3]),
            (&["localhost.evil.example:3000"], [false; 3]),
            (&["evil.example:3000"], [false; 3]),
            (&["evil.example"], [false; 3]),
            (&["user@localhost:3000"], [false; 3]),
            (&["localhost:3000@evil.example"], [false; 3]),
            (&["localhost:3000,evil.example"], [false; 3]),
            (&["127.1:3000"], [false; 3]),
            (&["127.0.0.2:3000"], [false; 3]),
            (&["0.0.0.0:3000"], [false; 3]),
            (&["2130706433:3000"], [false; 3]),
            (&["::1:3000"], [false; 3]),
            (&["[0:0:0:0:0:0:0:1]:3000"], [false; 3]),
            (&["[::ffff:127.0.0.1]:3000"], [false; 3]),
            (&["l\u{f6}calhost:3000"], [false; 3]),
            (&["host.docker.internal:3000"], [false, true, false]),
            (&["Host.Docker.Internal:8080"], [false, true, false]),
            (&["host.docker.internal"], [false, true, false]),
            (&["[fd00::1]:3000"], [false, true, false]),
            (&["[fd00::1]"], [false, true, false]),
            (&["host.docker.internal:"], [false; 3]),
            (&["host.docker.internal.:3000"], [false; 3]),
            (&["host.docker.internal.evil.example"], [false; 3]),
            (&["host.docker.internal:x@evil"], [false; 3]),
        ] {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            let request = request("/operations", &headers);
            let passes = [&none, &some, &port_80].map(|guard| guard.check(&request).is_ok());
            assert_eq!(passes, expected, "{hosts:?}");
        }
    }

    /// Hyper accepts request lines in absolute form and in CONNECT's form.
    #[test]
    fn a_host_in_the_target_is_checked_like_the_host_header() {
        let guard = Guard::new(PORT, allowed());
        for (target, passes) in [
            ("http://localhost:3000/operations", true),
            ("http://host.docker.internal:3000/operations", true),
            ("http://evil.example/operations", false),
            ("http://localhost/operations", false),
            ("http://user@localhost:3000/operations", false),
            ("evil.example:443", false),
        ] {
            let request = request(target, &[("host", "localhost:3000")]);
            assert_eq!(guard.check(&request).is_ok(), passes, "{target}");
        }
        let misnamed = request("http://localhost:3000/", &[("host", "evil.example")]);
        assert!(guard.check(&misnamed).is_err());
    }

    #[test]
    fn a_page_must_be_of_this_machine_or_of_an_allowed_origin() {
        let none = Guard::new(PORT, Allowed::default());
        let some = Guard::new(PORT, allowed());
        let origin = |origin| vec![("origin", origin)];
        let site = |site| vec![("sec-fetch-site", site)];
        let both = |origin, site| vec![("origin", origin), ("sec-fetch-site", site)];
        for (headers, expected) in [
            (vec![], [true, true]),
            (origin("http://localhost:5173"), [true, true]),
            (origin("http://localhost"), [true, true]),
            (origin("https://127.0.0.1:8443"), [true, true]),
            (origin("http://[::1]:3000"), [true, true]),
            (origin("null"), [false, false]),
            (origin(""), [false, false]),
            (origin("https://evil.example"), [false, false]),
            (origin("http://evil.example:3000"), [false, false]),
            (origin("http://localhost.evil.example"), [false, false]),
            (origin("http://app.localhost:3000"), [false, false]),
            (origin("http://localhost.:3000"), [false, false]),
            (origin("http://127.0.0.2"), [false, false]),
            (origin("http://localhost/"), [false, false]),
            (origin("http://user@localhost"), [false, false]),
            (origin("HTTP://LOCALHOST"), [false, false]),
            (origin("file://localhost"), [false, false]),
            (origin("chrome-extension://localhost"), [false, false]),
            (
                origin("http://localhost, http://evil.example"),
                [false, false],
            ),
            (
                [origin("http://localhost"), origin("https://evil.example")].concat(),
                [false, false],
            ),
            (
                [
                    origin("https://app.example.com"),
                    origin("https://evil.example"),
                ]
                .concat(),
                [false, false],
            ),
            (origin("https://app.example.com"), [false, true]),
            (origin("https://app.example.com:8443"), [false, false]),
            (origin("http://app.example.com"), [false, false]),
            (site("none"), [true, true]),
            (site("same-origin"), [true, true]),
            (site("same-site"), [true, true]),
            (site("cross-site"), [false, false]),
            (site("Cross-Site"), [false, false]),
            (both("https://app.example.com", "cross-site"), [false, true]),
            (both("http://127.0.0.1:5173", "cross-site"), [false, false]),
            (
                [site("same-origin"), site("cross-site")].concat(),
                [false, false],
            ),
        ] {
            let request = request("/", &[&[("host", "localhost:3000")], &headers[..]].concat());
            let passes = [&none, &some].map(|guard| guard.check(&request).is_ok());
            assert_eq!(passes, expected, "{headers:?}");
        }
    }

    #[test]
    fn a_response_allows_only_an_allowed_origin() {
        let guard = Guard::new(PORT, allowed());
        for (named, stays) in [
            ("*", false),
            ("https://evil.example", false),
            ("null", false),
            ("https://app.example.com", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, named.parse().unwrap());
            guard.restrict(&mut headers);
            assert_eq!(!headers.is_empty(), stays, "{named}");
        }
    }
}
