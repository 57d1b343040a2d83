//! What reaches the console: requests of its own page, under its own name.
//!
//! Everybody on this machine can connect to the loopback interface, and so can every page in this
//! machine's browser:
//!
//! - A form or image of another page can send a request without asking. So every request but that
//!   for the page itself needs its own header, which only a script of the same origin can
//!   send; no response allows another origin to (<https://fetch.spec.whatwg.org/#http-cors-protocol>).
//! - A name of another page may resolve to 127.0.0.1 later (DNS rebinding). Then the browser takes
//!   the console for that page's origin, but `Host` still has that name. So `Host` must be exactly
//!   one of the console's.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use crate::assets;
use crate::refusal::Refusal;

/// The header of every request that the page's script sends.
const OWN_HEADER: &str = "x-ferry-console";
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Nothing but the console's own files, no markup from text, and no page around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// On every response.
const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Puts the guard in front of every route, and of the response to an unknown path.
pub(crate) fn guarded(router: Router, port: u16) -> Router {
    let hosts = ["127.0.0.1", "localhost"].map(|name| format!("{name}:{port}"));
    router.layer(from_fn_with_state(Arc::new(hosts), pass))
}

async fn pass(State(hosts): State<Arc<[String; 2]>>, request: Request, next: Next) -> Response {
    let mut response = match check(&hosts[..], &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(CACHE_CONTROL).or_insert(no_store);
    response
}

fn check(hosts: &[String], request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let host = only(headers, HOST.as_str());
    // A target in absolute form takes precedence over `Host` (RFC 9112, section 3.2.2).
    let authority = request.uri().authority().map(Authority::as_str);
    let is_own = |host: &str| hosts.iter().any(|own| own == host);
    if !host.is_some_and(is_own) || !authority.is_none_or(is_own) {
        let sentence = format!("open the console as http://{}", hosts[0]);
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, sentence));
    }
    let is_foreign = |site: &HeaderValue| site != "same-origin" && site != "none";
    if headers.get_all(SEC_FETCH_SITE).iter().any(is_foreign) {
        let sentence = "the console answers its own page only";
        return Err(Refusal::new(StatusCode::FORBIDDEN, sentence));
    }
    if !assets::is_page(request) && only(headers, OWN_HEADER) != Some("1") {
        let sentence = format!("a request needs the header {OWN_HEADER}: 1");
        return Err(Refusal::new(StatusCode::FORBIDDEN, sentence));
    }
    Ok(())
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
