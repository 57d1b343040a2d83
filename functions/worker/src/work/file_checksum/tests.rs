//! Every test reads from a real server on the loopback interface.

use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, RANGE};
use shared::clock::ManualClock;

use super::*;
use crate::context::test::TestContext;

/// After a hundred bytes.
const STATE: &str = concat!(
    r#"{"bytes":100,"hash":"36KZ/Hoq9IiA0bl7osbNM191VgJQmludMcypRKeEvloBAAAAAAAAACRAQUJDREVGR0hJ"#,
    "SktMTU5PUFFSU1RVVldYWVpbXF1eX2BhYmMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    r#"","version":{"etag":"\"one\"","bytes":1000}}"#,
);

const HALF: Duration = Duration::from_secs(1800);

/// A file on a server, and what the server does with it.
#[derive(Clone)]
struct File {
    content: Vec<u8>,
    etag: Option<&'static str>,
    status: StatusCode,
    serves_ranges: bool,
    /// The server closes the connection after so many bytes of each response.
    breaks_after: Option<usize>,
    /// After the first half of each response, so much time passes.
    takes: Duration,
}

struct Server {
    port: u16,
    shared: Arc<Shared>,
    test: TestContext,
}

struct Shared {
    file: Mutex<File>,
    ranges: Mutex<Vec<Option<String>>>,
    clock: ManualClock,
}

impl File {
    fn of(content: Vec<u8>) -> Self {
        Self {
            content,
            etag: Some("\"one\""),
            status: StatusCode::OK,
            serves_ranges: true,
            breaks_after: None,
            takes: Duration::ZERO,
        }
    }

    /// More than a connection delivers at once, and more than may come before a body.
    fn large() -> Self {
        Self::of((0..=250).cycle().take(1_000_003).collect())
    }

    fn sha256(&self) -> String {
        let mut hash = Hash::default();
        hash.update(&self.content);
        hash.finish()
    }
}

impl Server {
    async fn with(file: File) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let test = TestContext::new().with_settings([
            ("FILE_ALLOWED_NETWORKS", "127.0.0.0/8"),
            ("LOCAL_BUNDLE", "1"),
        ]);
        let shared = Arc::new(Shared {
            file: Mutex::new(file),
            ranges: Mutex::default(),
            clock: test.clock.clone(),
        });
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, shared, test }
    }

    async fn leg(&self, state: Option<Progress>) -> Result<Next<Output, Progress>, WorkError> {
        let url = format!("http://127.0.0.1:{}/file?token=secret", self.port);
        // As the worker saves it.
        let state = state.map(|state| serde_json::to_string(&state).unwrap());
        let state = state.map(|state| serde_json::from_str(&state).unwrap());
        FileChecksum::run(Args { url }, state, self.test.context()).await
    }

    async fn first_leg(&self) -> Progress {
        saved(self.leg(None).await).0
    }

    fn change(&self, change: impl FnOnce(&mut File)) {
        change(&mut self.shared.file.lock().unwrap());
    }

    /// The `Range` of each request so far.
    fn ranges(&self) -> Vec<Option<String>> {
        self.shared.ranges.lock().unwrap().clone()
    }
}

async fn serve(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let file = shared.file.lock().unwrap().clone();
    let range = headers
        .get(RANGE)
        .map(|range| range.to_str().unwrap().to_owned());
    shared.ranges.lock().unwrap().push(range.clone());
    if file.status != StatusCode::OK {
        return file.status.into_response();
    }
    let size = file.content.len();
    let from = range.filter(|_| file.serves_ranges).map(|range| {
        let from = range
            .strip_prefix("bytes=")
            .and_then(|range| range.strip_suffix('-'));
        from.unwrap().parse::<usize>().unwrap()
    });
    if from.is_some_and(|from| from >= size) {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    }
    let mut response = Response::new(body(&file, from.unwrap_or(0), shared.clock.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, (size - from.unwrap_or(0)).into());
    if let Some(etag) = file.etag {
        headers.insert(ETAG, etag.parse().unwrap());
    }
    if let Some(from) = from {
        let range = format!("bytes {from}-{}/{size}", size - 1);
        headers.insert(CONTENT_RANGE, range.parse().unwrap());
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

fn body(file: &File, from: usize, clock: ManualClock) -> Body {
    let content = Bytes::copy_from_slice(&file.content[from..]);
    if let Some(length) = file.breaks_after.filter(|length| *length < content.len()) {
        let part = stream::once(async move { Ok(content.slice(..length)) });
        let end = stream::once(async {
            // The server sends what it has when there is nothing more at the moment.
            tokio::task::yield_now().await;
            Err(io::Error::other("broken"))
        });
        return Body::from_stream(part.chain(end));
    }
    let (first, second) = (
        content.slice(..content.len() / 2),
        content.slice(content.len() / 2..),
    );
    let takes = file.takes;
    let parts = stream::unfold(vec![second, first], move |mut parts| {
        let clock = clock.clone();
        async move {
            let part = parts.pop()?;
            if parts.is_empty() {
                clock.advance(takes);
            }
            Some((Ok::<_, io::Error>(part), parts))
        }
    });
    Body::from_stream(parts)
}

fn saved(next: Result<Next<Output, Progress>, WorkError>) -> (Progress, Duration) {
    match next.unwrap() {
        Next::Continue { state, after } => (state, after),
        Next::Done(output) => panic!("done: {output:?}"),
    }
}

/// Its code and message, and whether it is retryable.
fn error(next: Result<Next<Output, Progress>, WorkError>) -> (String, String, bool) {
    let error = next.err().unwrap();
    (error.error.code, error.error.message, error.retryable)
}

#[tokio::test]
async fn a_file_is_read_in_one_leg_if_there_is_time() {
    for file in [
        File::large(),
        File::of(b"abc".to_vec()),
        File::of(Vec::new()),
    ] {
        let server = Server::with(file.clone()).await;
        let Ok(Next::Done(output)) = server.leg(None).await else {
            panic!("not done");
        };
        let bytes = file.content.len() as u64;
        assert_eq!(
            output,
            Output {
                bytes,
                sha256: file.sha256()
            }
        );
        assert_eq!(server.ranges(), [None]);
    }
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(File::of(b"abc".to_vec()).sha256(), abc);
}

#[tokio::test]
async fn a_leg_ends_after_half_of_its_time_and_the_next_one_reads_the_rest() {
    let file = File {
        takes: HALF,
        ..File::large()
    };
    let server = Server::with(file.clone()).await;
    let (state, after) = saved(server.leg(None).await);
    assert_eq!(after, Duration::ZERO);
    let read = state.bytes;
    assert!(read > 0 && read < 1_000_003, "{read}");
    server.change(|file| file.takes = Duration::ZERO);
    let Ok(Next::Done(output)) = server.leg(Some(state)).await else {
        panic!("not done");
    };
    assert_eq!(
        output,
        Output {
            bytes: 1_000_003,
            sha256: file.sha256()
        }
    );
    assert_eq!(server.ranges(), [None, Some(format!("bytes={read}-"))]);
}

#[tokio::test]
async fn a_broken_connection_repeats_nothing_that_was_read() {
    let file = File {
        breaks_after: Some(400_000),
        ..File::large()
    };
    let server = Server::with(file.clone()).await;
    let mut state: Option<Progress> = None;
    let mut ranges = vec![None];
    let output = loop {
        match server.leg(state.take()).await.unwrap() {
            Next::Continue {
                state: saved,
                after,
            } => {
                assert_eq!(after, BROKEN_WAIT);
                ranges.push(Some(format!("bytes={}-", saved.bytes)));
                state = Some(saved);
            }
            Next::Done(output) => break output,
        }
    };
    assert_eq!(output.sha256, file.sha256());
    assert_eq!(server.ranges(), ranges);
    assert!(ranges.len() > 2);

    server.change(|file| file.breaks_after = Some(0));
    let broken = (
        "FILE_UNAVAILABLE".to_owned(),
        "the connection broke".to_owned(),
        true,
    );
    assert_eq!(error(server.leg(None).await), broken);
}

#[tokio::test]
async fn a_file_that_changed_between_two_legs_is_not_mixed_with_itself() {
    let changes: [fn(&mut File); 4] = [
        |file| file.etag = Some("\"two\""),
        |file| file.content.push(0),
        |file| file.content.truncate(1),
        |file| {
            file.etag = Some("\"two\"");
            file.serves_ranges = false;
        },
    ];
    for change in changes {
        let server = Server::with(File {
            breaks_after: Some(400_000),
            ..File::large()
        })
        .await;
        let state = server.first_leg().await;
        server.change(change);
        let (code, _, retryable) = error(server.leg(Some(state)).await);
        assert_eq!((code.as_str(), retryable), ("FILE_CHANGED", false));
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_resumed_has_to_be_read_in_one_leg() {
    let server = Server::with(File {
        breaks_after: Some(400_000),
        ..File::large()
    })
    .await;
    let state = server.first_leg().await;
    server.change(|file| file.serves_ranges = false);
    assert_eq!(error(server.leg(Some(state)).await).0, "FILE_NOT_RESUMABLE");

    server.change(|file| file.etag = None);
    let (code, _, retryable) = error(server.leg(None).await);
    assert_eq!((code.as_str(), retryable), ("FILE_UNAVAILABLE", true));
    server.change(|file| (file.breaks_after, file.takes) = (None, HALF));
    let (code, _, retryable) = error(server.leg(None).await);
    assert_eq!((code.as_str(), retryable), ("FILE_NOT_RESUMABLE", false));
    server.change(|file| file.takes = Duration::ZERO);
    assert!(matches!(server.leg(None).await, Ok(Next::Done(_))));
}

#[tokio::test]
async fn only_a_status_that_may_pass_is_tried_again() {
    let server = Server::with(File::large()).await;
    for (status, may_pass) in [
        (302, false),
        (403, false),
        (404, false),
        (408, true),
        (410, false),
        (429, true),
        (500, true),
        (503, true),
    ] {
        server.change(|file| file.status = StatusCode::from_u16(status).unwrap());
        let message = format!("the host responded with {status}");
        let expected = ("FILE_UNAVAILABLE".to_owned(), message, may_pass);
        assert_eq!(error(server.leg(None).await), expected);
    }
}

#[tokio::test]
async fn a_host_that_is_not_allowed_gets_no_request() {
    let server = Server::with(File::large()).await;
    let test = TestContext::new();
    for (host, message) in [
        ("http://127.0.0.1", "the URL must be an https URL"),
        ("https://127.0.0.1", "the URL must have a public host"),
        ("https://localhost", "the URL must have a public host"),
        ("https://169.254.169.254", "the URL must have a public host"),
    ] {
        let url = format!("{host}:{}/file", server.port);
        let next = FileChecksum::run(Args { url }, None, test.context()).await;
        let expected = ("FILE_UNAVAILABLE".to_owned(), message.to_owned(), false);
        assert_eq!(error(next), expected);
    }
    assert!(server.ranges().is_empty());
}

/// An operation may be between two legs while the worker is replaced.
#[test]
fn a_state_that_was_saved_by_an_earlier_release_still_leads_to_the_same_checksum() {
    let state: Progress = serde_json::from_str(STATE).unwrap();
    assert_eq!(serde_json::to_string(&state).unwrap(), STATE);
    let file = File::of((0..=250).cycle().take(1000).collect());
    let mut hash = state.hash;
    hash.update(&file.content[usize::try_from(state.bytes).unwrap()..]);
    assert_eq!(hash.finish(), file.sha256());
}
