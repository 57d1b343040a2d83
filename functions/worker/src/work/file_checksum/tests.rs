//! Every test reads from a real server on the loopback interface.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, LOCATION, RANGE};
use hyper_util::client::legacy::connect::dns::Name;
use shared::outbound::Resolve;

use super::*;
use crate::context::test::TestContext;

/// After a hundred bytes.
const STATE: &str = concat!(
    r#"{"bytes":100,"hash":"36KZ/Hoq9IiA0bl7osbNM191VgJQmludMcypRKeEvloBAAAAAAAAACRAQUJDREVGR0hJ"#,
    "SktMTU5PUFFSU1RVVldYWVpbXF1eX2BhYmMAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    r#"","version":{"etag":"\"one\"","bytes":1000}}"#,
);

/// More than a connection delivers at once, and more than may come before a body.
const LARGE: usize = 3_000_003;
/// More than a leg's least.
const BROKEN_AFTER: usize = 400_000;

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
    /// The server delivers so many bytes of a range at most, as it may.
    range_max: usize,
    says_size: bool,
}

struct Server {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    file: Mutex<File>,
    ranges: Mutex<Vec<Option<String>>>,
}

impl File {
    fn of(content: Vec<u8>) -> Self {
        Self {
            content,
            etag: Some("\"one\""),
            status: StatusCode::OK,
            serves_ranges: true,
            breaks_after: None,
            range_max: usize::MAX,
            says_size: true,
        }
    }

    fn large() -> Self {
        Self::of((0..=250).cycle().take(LARGE).collect())
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
        let shared = Arc::new(Shared {
            file: Mutex::new(file),
            ranges: Mutex::default(),
        });
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, shared }
    }

    async fn leg(&self, state: Option<Checkpoint>) -> Result<Next<Output, Checkpoint>, WorkError> {
        self.leg_in(state, TestContext::new()).await
    }

    /// A leg whose time is half over at its `report`-th report: at its first chunk, then after each
    /// MiB.
    async fn leg_until(
        &self,
        report: usize,
        state: Option<Checkpoint>,
    ) -> Result<Next<Output, Checkpoint>, WorkError> {
        self.leg_in(state, TestContext::new().advance_at(report, HALF))
            .await
    }

    async fn leg_in(
        &self,
        state: Option<Checkpoint>,
        test: TestContext,
    ) -> Result<Next<Output, Checkpoint>, WorkError> {
        let test = test.with_settings([
            ("FILE_ALLOWED_NETWORKS", "127.0.0.0/8"),
            ("LOCAL_BUNDLE", "1"),
        ]);
        let url = format!("http://127.0.0.1:{}/file?token=secret", self.port);
        // As the worker saves it.
        let state = state.map(|state| serde_json::to_string(&state).unwrap());
        let state = state.map(|state| serde_json::from_str(&state).unwrap());
        FileChecksum::run(Args { url }, state, test.context()).await
    }

    async fn first_leg(&self) -> Checkpoint {
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
        // A client that followed redirects would come here again.
        return (file.status, [(LOCATION, "/other")]).into_response();
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
    let first = from.unwrap_or(0);
    let end = match from {
        Some(first) => size.min(first.saturating_add(file.range_max)),
        None => size,
    };
    let mut response = Response::new(body(&file, first..end));
    let headers = response.headers_mut();
    if file.says_size {
        headers.insert(CONTENT_LENGTH, (end - first).into());
    }
    if let Some(etag) = file.etag {
        headers.insert(ETAG, etag.parse().unwrap());
    }
    if let Some(from) = from {
        let range = format!("bytes {from}-{}/{size}", end - 1);
        headers.insert(CONTENT_RANGE, range.parse().unwrap());
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

fn body(file: &File, range: Range<usize>) -> Body {
    let content = Bytes::copy_from_slice(&file.content[range]);
    if let Some(length) = file.breaks_after.filter(|length| *length < content.len()) {
        let part = stream::once(async move { Ok(content.slice(..length)) });
        let end = stream::once(async {
            // The server sends what it has when there is nothing more at the moment.
            tokio::task::yield_now().await;
            Err(io::Error::other("broken"))
        });
        return Body::from_stream(part.chain(end));
    }
    if !file.says_size {
        return Body::from_stream(stream::once(async move { Ok::<_, io::Error>(content) }));
    }
    Body::from(content)
}

fn saved(next: Result<Next<Output, Checkpoint>, WorkError>) -> (Checkpoint, Duration) {
    match next.unwrap() {
        Next::Continue { state, after } => (state, after),
        Next::Done(output) => panic!("done: {output:?}"),
    }
}

/// Its code and message, and whether it is retryable.
fn error(next: Result<Next<Output, Checkpoint>, WorkError>) -> (String, String, bool) {
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
    let file = File::large();
    let server = Server::with(file.clone()).await;
    let (state, after) = saved(server.leg_until(2, None).await);
    assert_eq!(after, Duration::ZERO);
    let read = state.bytes;
    assert!(read > MIB && read < LARGE as u64, "{read}");
    let Ok(Next::Done(output)) = server.leg(Some(state)).await else {
        panic!("not done");
    };
    let bytes = LARGE as u64;
    let sha256 = file.sha256();
    assert_eq!(output, Output { bytes, sha256 });
    assert_eq!(server.ranges(), [None, Some(format!("bytes={read}-"))]);
}

#[tokio::test]
async fn a_broken_connection_repeats_nothing_that_was_read() {
    let file = File {
        breaks_after: Some(BROKEN_AFTER),
        ..File::large()
    };
    let server = Server::with(file.clone()).await;
    let mut state: Option<Checkpoint> = None;
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
async fn a_part_of_the_rest_is_not_taken_for_all_of_it() {
    let file = File {
        breaks_after: Some(BROKEN_AFTER),
        ..File::large()
    };
    let server = Server::with(file.clone()).await;
    let mut state = Some(server.first_leg().await);
    server.change(|file| (file.breaks_after, file.range_max) = (None, 300_000));
    let output = loop {
        match server.leg(state.take()).await.unwrap() {
            Next::Continue { state: saved, .. } => state = Some(saved),
            Next::Done(output) => break output,
        }
    };
    assert_eq!(output.sha256, file.sha256());
}

#[tokio::test]
async fn a_file_that_ends_with_its_leg_is_done() {
    let server = Server::with(File::of(b"abc".to_vec())).await;
    assert!(matches!(server.leg_until(1, None).await, Ok(Next::Done(_))));
}

#[tokio::test]
async fn a_size_that_only_a_later_response_has_is_no_change() {
    let file = File {
        says_size: false,
        ..File::large()
    };
    let server = Server::with(file.clone()).await;
    let (state, _) = saved(server.leg_until(2, None).await);
    assert_eq!(state.version.bytes(), None);
    let Ok(Next::Done(output)) = server.leg(Some(state)).await else {
        panic!("not done");
    };
    assert_eq!(output.sha256, file.sha256());
}

#[tokio::test]
async fn a_host_that_sends_little_uses_up_attempts() {
    let file = File {
        says_size: false,
        ..File::of(vec![7; 1000])
    };
    let server = Server::with(file).await;
    let (_, message, retryable) = error(server.leg_until(1, None).await);
    let slow = "the host sends too slowly";
    assert_eq!((message.as_str(), retryable), (slow, true));
    server.change(|file| (file.says_size, file.breaks_after) = (true, Some(500)));
    let (_, message, retryable) = error(server.leg(None).await);
    assert_eq!(
        (message.as_str(), retryable),
        ("the connection broke", true)
    );
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
            breaks_after: Some(BROKEN_AFTER),
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
        breaks_after: Some(BROKEN_AFTER),
        ..File::large()
    })
    .await;
    let state = server.first_leg().await;
    server.change(|file| file.serves_ranges = false);
    assert_eq!(error(server.leg(Some(state)).await).0, "FILE_NOT_RESUMABLE");

    for etag in [None, Some("W/\"weak\"")] {
        server.change(|file| file.etag = etag);
        let (code, _, retryable) = error(server.leg(None).await);
        assert_eq!((code.as_str(), retryable), ("FILE_UNAVAILABLE", true));
    }
    server.change(|file| file.breaks_after = None);
    let (code, _, retryable) = error(server.leg_until(2, None).await);
    assert_eq!((code.as_str(), retryable), ("FILE_NOT_RESUMABLE", false));
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
        let requests = server.ranges().len();
        assert_eq!(error(server.leg(None).await), expected);
        assert_eq!(server.ranges().len(), requests + 1, "{status} is followed");
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

/// Every name is this machine.
#[derive(Debug)]
struct OwnMachine;

impl Resolve for OwnMachine {
    fn resolve(&self, _: Name) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) })
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_not_found() {
    let server = Server::with(File::large()).await;
    let test = TestContext::new().with_names(Arc::new(OwnMachine));
    let url = format!("https://files.example.com:{}/file", server.port);
    let next = FileChecksum::run(Args { url }, None, test.context()).await;
    let message = "name not found, or its address is not allowed";
    let expected = ("FILE_UNAVAILABLE".to_owned(), message.to_owned(), true);
    assert_eq!(error(next), expected);
    assert!(server.ranges().is_empty());
}

/// An operation may be between two legs while the worker is replaced.
#[test]
fn a_state_that_was_saved_by_an_earlier_release_still_leads_to_the_same_checksum() {
    let state: Checkpoint = serde_json::from_str(STATE).unwrap();
    assert_eq!(serde_json::to_string(&state).unwrap(), STATE);
    let file = File::of((0..=250).cycle().take(1000).collect());
    let mut hash = state.hash;
    hash.update(&file.content[usize::try_from(state.bytes).unwrap()..]);
    assert_eq!(hash.finish(), file.sha256());
}
