//! What the guard lets through, and what it puts on every response.

use axum::body::Body;
use axum::extract::Path;
use axum::http::Method;
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::request::Builder;
use axum::routing::any;
use tower_service::Service as _;

use super::*;

const PORT: u16 = 7070;
const OWN_HOST: &str = "127.0.0.1:7070";

/// Sends to the console's files, and to an API whose every path responds with its status.
async fn send(request: Builder) -> Response {
    let api = Router::new().route(
        "/api/{status}",
        any(|Path(status): Path<u16>| async move { StatusCode::from_u16(status).unwrap() }),
    );
    let mut router = guarded(api.merge(assets::router()), PORT);
    let request = request.body(Body::empty()).unwrap();
    router.call(request).await.unwrap()
}

fn request(method: &Method, target: &str) -> Builder {
    Request::builder().method(method).uri(target)
}

/// A request of the console's own page.
fn own(method: &Method, target: &str) -> Builder {
    let request = request(method, target).header(HOST, OWN_HOST);
    request.header(OWN_HEADER, "1")
}

#[tokio::test]
async fn only_the_consoles_own_names_are_served() {
    for (host, is_own) in [
        (OWN_HOST, true),
        ("localhost:7070", true),
        ("", false),
        ("127.0.0.1", false),
        ("localhost", false),
        ("127.0.0.1:", false),
        ("127.0.0.1:7071", false),
        ("127.0.0.1:70700", false),
        ("127.0.0.1:7070.evil.example", false),
        ("127.0.0.1.evil.example:7070", false),
        ("localhost.evil.example:7070", false),
        ("evil.example:7070", false),
        ("evil.example", false),
        ("evil-localhost:7070", false),
        ("evil@127.0.0.1:7070", false),
        ("LOCALHOST:7070", false),
        ("localhost.:7070", false),
        ("127.1:7070", false),
        ("2130706433:7070", false),
        ("0.0.0.0:7070", false),
        ("[::1]:7070", false),
        ("[::ffff:127.0.0.1]:7070", false),
    ] {
        for path in ["/", "/console.js", "/unknown", "/api/200"] {
            let request = request(&Method::GET, path).header(HOST, host);
            let response = send(request.header(OWN_HEADER, "1")).await;
            let is_served = response.status() != StatusCode::MISDIRECTED_REQUEST;
            assert_eq!(is_served, is_own, "{host}{path}");
        }
    }
}

#[tokio::test]
async fn the_host_of_the_target_counts_as_well() {
    for (target, hosts, is_own) in [
        ("/", &[][..], false),
        ("/", &[OWN_HOST, OWN_HOST], false),
        ("/", &[OWN_HOST, "evil.example"], false),
        ("http://127.0.0.1:7070/", &[OWN_HOST], true),
        ("http://localhost:7070/", &[OWN_HOST], true),
        ("http://127.0.0.1:7070/", &[], false),
        ("http://127.0.0.1:7070/", &["evil.example"], false),
        ("http://127.0.0.1/", &[OWN_HOST], false),
        ("http://evil.example/", &[OWN_HOST], false),
        ("http://evil.example:7070/", &[OWN_HOST], false),
        ("http://evil@127.0.0.1:7070/", &[OWN_HOST], false),
    ] {
        let mut request = request(&Method::GET, target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let response = send(request).await;
        let expected = if is_own { 200 } else { 421 };
        assert_eq!(response.status(), expected, "{target} {hosts:?}");
    }
}

#[tokio::test]
async fn every_request_but_that_for_a_file_needs_the_header() {
    let (get, head, post, options) = (&Method::GET, &Method::HEAD, &Method::POST, &Method::OPTIONS);
    for (method, path, without) in [
        (get, "/", 200),
        (head, "/", 200),
        (get, "/console.css", 200),
        (get, "/console.js", 200),
        (get, "/operation/op_1", 200),
        (get, "/unknown", 404),
        (post, "/", 403),
        (options, "/", 403),
        (get, "/api/200", 403),
        (head, "/api/200", 403),
        (post, "/api/200", 403),
        (options, "/api/200", 403),
        (get, "/api/unknown/path", 403),
    ] {
        for values in [&[][..], &["0"], &[""], &["true"], &["11"], &["1", "1"]] {
            let mut request = request(method, path).header(HOST, OWN_HOST);
            for value in values {
                request = request.header(OWN_HEADER, *value);
            }
            let status = send(request).await.status();
            assert_eq!(status, without, "{method} {path} {values:?}");
        }
        let status = send(own(method, path)).await.status();
        assert_ne!(status, StatusCode::FORBIDDEN, "{method} {path}");
    }
}

/// The values of the specification (<https://w3c.github.io/webappsec-fetch-metadata/>), and others.
#[tokio::test]
async fn only_the_console_itself_and_its_user_may_ask_for_anything() {
    for (sites, is_own) in [
        (&[][..], true),
        (&["same-origin"], true),
        (&["none"], true),
        (&["same-site"], false),
        (&["cross-site"], false),
        (&["other"], false),
        (&[""], false),
        (&["SAME-ORIGIN"], false),
        (&["same-origin, cross-site"], false),
        (&["same-origin", "cross-site"], false),
    ] {
        for path in ["/", "/console.js", "/unknown", "/api/200"] {
            let mut request = own(&Method::GET, path);
            for site in sites {
                request = request.header(SEC_FETCH_SITE, *site);
            }
            let is_served = send(request).await.status() != StatusCode::FORBIDDEN;
            assert_eq!(is_served, is_own, "{path} {sites:?}");
        }
    }
}

#[tokio::test]
async fn every_response_protects_the_page_and_opens_it_to_no_other_origin() {
    let get = &Method::GET;
    let tag = send(own(get, "/")).await.headers()[ETAG].clone();
    for (request, status, cache) in [
        (own(get, "/"), 200, "no-cache"),
        (own(get, "/").header(IF_NONE_MATCH, tag), 304, "no-cache"),
        (own(get, "/console.css"), 200, "no-cache"),
        (own(get, "/console.js"), 200, "no-cache"),
        (own(get, "/api/200"), 200, "no-store"),
        (own(get, "/api/304"), 304, "no-store"),
        (own(get, "/api/400"), 400, "no-store"),
        (own(get, "/unknown"), 404, "no-store"),
        (own(get, "/api/404"), 404, "no-store"),
        (own(&Method::POST, "/"), 405, "no-store"),
        (own(&Method::OPTIONS, "/"), 405, "no-store"),
        (own(get, "/api/413"), 413, "no-store"),
        (own(get, "/api/500"), 500, "no-store"),
        (own(get, "/api/502"), 502, "no-store"),
        (
            request(get, "/api/200").header(HOST, OWN_HOST),
            403,
            "no-store",
        ),
        (
            own(get, "/").header(SEC_FETCH_SITE, "cross-site"),
            403,
            "no-store",
        ),
        (request(get, "/"), 421, "no-store"),
    ] {
        let asked_by = request.header("origin", "http://evil.example");
        let response = send(asked_by).await;
        assert_eq!(response.status(), status);
        let headers = response.headers();
        assert_eq!(headers[CACHE_CONTROL], cache, "{status}");
        for (name, value) in HEADERS {
            let found: Vec<_> = headers.get_all(&name).iter().collect();
            assert_eq!(found, [value], "{status} {name}");
        }
        let opens = |name: &HeaderName| name.as_str().starts_with("access-control");
        assert!(!headers.keys().any(opens), "{status}: {headers:?}");
    }
}

/// Each of these would let a mistake of the page become a hole.
#[test]
fn the_policy_allows_the_consoles_own_files_only() {
    let directives: Vec<_> = POLICY.split("; ").collect();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ] {
        assert!(directives.contains(&directive), "{directive}");
    }
    assert!(!POLICY.contains("unsafe"));
}
