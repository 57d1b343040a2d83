//! The page: three files, compiled in.

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// The paths of the pages, which are one file: its script shows the page of the path.
const PAGES: [&str; 6] = [
    "/",
    "/operation/{id}",
    "/functions",
    "/function/{name}",
    "/queues",
    "/find",
];

#[derive(Clone)]
struct File {
    media_type: &'static str,
    bytes: Bytes,
}

pub(crate) fn router() -> Router {
    let html = File::new("text/html; charset=utf-8", include_str!("page/index.html"));
    let style = File::new("text/css; charset=utf-8", include_str!("page/console.css"));
    let script = File::new(
        "text/javascript; charset=utf-8",
        include_str!("page/console.js"),
    );
    let unknown = html.clone();
    PAGES
        .into_iter()
        .fold(Router::new(), |router, page| {
            router.route(page, html.route())
        })
        .route("/console.css", style.route())
        .route("/console.js", script.route())
        // The script says that there is no such page.
        .fallback(move || async move {
            let media_type = [(CONTENT_TYPE, unknown.media_type)];
            (StatusCode::NOT_FOUND, media_type, unknown.bytes)
        })
}

/// Whether a request is for one of the files: the same for everyone, without any data.
pub(crate) fn is_page(request: &Request) -> bool {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    is_read && !request.uri().path().starts_with("/api/")
}

impl File {
    /// A file that is sent without its indentation, a twentieth of its bytes. No string in it has a
    /// line break.
    fn new(media_type: &'static str, text: &str) -> Self {
        let lines: Vec<_> = text.lines().map(str::trim_start).collect();
        let bytes = Bytes::from(lines.join("\n"));
        Self { media_type, bytes }
    }

    fn route(&self) -> MethodRouter {
        let file = self.clone();
        get(move |headers: HeaderMap| async move { file.response(&headers) })
    }

    fn response(self, headers: &HeaderMap) -> Response {
        let etag = etag(&self.bytes);
        // Revalidated at each use: the next release has other files under the same names.
        let cached = [(CACHE_CONTROL, "no-cache".to_owned()), (ETAG, etag.clone())];
        let known = headers.get(IF_NONE_MATCH);
        if known.is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
            return (StatusCode::NOT_MODIFIED, cached).into_response();
        }
        let media_type = [(CONTENT_TYPE, self.media_type)];
        (cached, media_type, self.bytes).into_response()
    }
}

/// The tag of a body, with its quotes.
pub(crate) fn etag(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest[..15]))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::body::{Body, to_bytes};
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tower_service::Service as _;

    use super::*;

    #[tokio::test]
    async fn the_files_are_small() {
        let (mut bytes, mut compressed_bytes) = (0, 0);
        for path in ["/", "/console.css", "/console.js"] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router().call(request).await.unwrap();
            let file = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
            compressed.write_all(&file).unwrap();
            bytes += file.len();
            compressed_bytes += compressed.finish().unwrap().len();
        }
        println!("{bytes} bytes, {compressed_bytes} compressed");
        assert!(bytes <= 70 * 1024, "{bytes}");
        assert!(compressed_bytes <= 24 * 1024, "{compressed_bytes}");
    }
}
