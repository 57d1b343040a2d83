//! Every test reads from a real server on the loopback interface.

use std::io::{self, Read as _, Write as _};
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
use serde_json::json;
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
/// What a server sends at once if it does not say the size.
const PIECE: usize = 5000;

/// How long an attempt has.
const ATTEMPT: Duration = Duration::from_secs(120);
const HALF: Duration = Duration::from_secs(60);

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
    /// Whether a response of a range says the size of the whole.
    ranges_say_size: bool,
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
            ranges_say_size: true,
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
        self.leg_in(state, TestContext::new().time_left(ATTEMPT))
            .await
    }

    /// A leg whose time is half over at its `report`-th report: at its first chunk, then after each
    /// MiB.
    async fn leg_until(
        &self,
        report: usize,
        state: Option<Checkpoint>,
    ) -> Result<Next<Output, Checkpoint>, WorkError> {
        let test = TestContext::new().time_left(ATTEMPT);
        self.leg_in(state, test.advance_at(report, HALF)).await
    }

    async fn leg_in(
        &self,
        state: Option<Checkpoint>,
        test: TestContext,
    ) -> Result<Next<Output, Checkpoint>, WorkError> {
        leg_from(self.port, state, test).await
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

async fn leg_from(
    port: u16,
    state: Option<Checkpoint>,
    test: TestContext,
) -> Result<Next<Output, Checkpoint>, WorkError> {
    let test = test.with_settings([
        ("FILE_ALLOWED_NETWORKS", "127.0.0.0/8"),
        ("LOCAL_BUNDLE", "1"),
    ]);
    let url = format!("http://127.0.0.1:{port}/file?token=secret");
    // As the worker saves it.
    let state = state.map(|state| serde_json::to_string(&state).unwrap());
    let state = state.map(|state| serde_json::from_str(&state).unwrap());
    FileChecksum::run(Args { url }, state, test.context()).await
}

/// A leg from a server that sends exactly this, and closes the connection.
async fn leg_of_response(
    response: String,
    state: Option<Checkpoint>,
) -> Result<Next<Output, Checkpoint>, WorkError> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        // The request is small, so it arrives at once.
        assert!(connection.read(&mut [0; 4096]).unwrap() > 0);
        connection.write_all(response.as_bytes()).unwrap();
    });
    let next = leg_from(port, state, TestContext::new().time_left(ATTEMPT)).await;
    server.join().unwrap();
    next
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
        let size = if file.ranges_say_size {
            size.to_string()
        } else {
            "*".to_owned()
        };
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
        let pieces = (0..content.len()).step_by(PIECE);
        let pieces = pieces.map(move |first| {
            Ok::<_, io::Error>(content.slice(first..content.len().min(first + PIECE)))
        });
        return Body::from_stream(stream::iter(pieces));
    }
    Body::from(content)
}

fn saved(next: Result<Next<Output, Checkpoint>, WorkError>) -> (Checkpoint, Duration) {
    match next.unwrap() {
        Next::Continue { state, after } => (state, after),
        Next::Done(output) => panic!("done: {output:?}"),
    }
}

/// After so many bytes of a file, of which the host said this size.
fn checkpoint(file: &File, bytes: usize, size: Option<u64>) -> Checkpoint {
    let mut hash = Hash::default();
    hash.update(&file.content[..bytes]);
    let (hash, size) = (json!(hash), json!(size));
    let version = json!({"etag": file.etag, "bytes": size});
    let state = json!({"bytes": bytes, "hash": hash, "version": version});
    serde_json::from_value(state).unwrap()
}

/// The size of the file once its checksum is right, or the error's code.
fn end(file: &File, next: Result<Next<Output, Checkpoint>, WorkError>) -> String {
    match next {
        Ok(Next::Done(output)) => {
            assert_eq!(output.sha256, file.sha256());
            output.bytes.to_string()
        }
        Ok(Next::Continue { state, .. }) => panic!("continues after {}", state.bytes),
        Err(error) => error.error.code,
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

/// Parts of which the host does not say what they are parts of.
#[tokio::test]
async fn a_part_is_the_end_of_the_file_only_by_its_size() {
    for says_size in [true, false] {
        let file = File {
            says_size,
            ..File::large()
        };
        let server = Server::with(file.clone()).await;
        let mut state = Some(saved(server.leg_until(2, None).await).0);
        server.change(|file| (file.range_max, file.ranges_say_size) = (300_000, false));
        let end = loop {
            match server.leg(state.take()).await {
                Ok(Next::Continue { state: saved, .. }) => state = Some(saved),
                Ok(Next::Done(output)) => break Ok(output.sha256),
                Err(error) => break Err(error.error.code),
            }
        };
        let expected = if says_size {
            Ok(file.sha256())
        } else {
            Err("FILE_NOT_RESUMABLE".to_owned())
        };
        assert_eq!(end, expected);
    }
}

#[tokio::test]
async fn a_response_that_ends_early_is_not_the_end_of_the_file() {
    const CHUNKED: &str = "transfer-encoding: chunked\r\n";
    const END: &str = "0\r\n\r\n";
    const DONE: &str = "1000";
    const BROKEN: &str = "FILE_UNAVAILABLE";
    const NOT_RESUMABLE: &str = "FILE_NOT_RESUMABLE";
    let file = File::of((0..100).cycle().take(1000).collect());
    let ascii = |range: Range<usize>| String::from_utf8(file.content[range].to_vec()).unwrap();
    let chunk = |range: Range<usize>| format!("{:x}\r\n{}\r\n", range.len(), ascii(range));
    let whole = |headers: &str| format!("HTTP/1.1 200 OK\r\netag: \"one\"\r\n{headers}\r\n");
    let part = |range: &str| {
        let status = "HTTP/1.1 206 Partial Content\r\netag: \"one\"";
        format!("{status}\r\ncontent-range: bytes {range}\r\n{CHUNKED}\r\n")
    };

    for (response, expected) in [
        (whole("content-length: 1000\r\n") + &ascii(0..1000), DONE),
        (whole("content-length: 1000\r\n") + &ascii(0..500), BROKEN),
        (whole(CHUNKED) + &chunk(0..1000) + END, DONE),
        (whole(CHUNKED) + &chunk(0..1000), BROKEN),
        (whole("") + &ascii(0..1000), DONE),
    ] {
        let next = leg_of_response(response.clone(), None).await;
        assert_eq!(end(&file, next), expected, "{response}");
    }
    for (response, expected) in [
        (part("100-999/1000") + &chunk(100..1000) + END, DONE),
        (part("100-999/1000") + &chunk(100..500) + END, BROKEN),
        (part("100-999/*") + &chunk(100..1000) + END, DONE),
        (part("100-999/*") + &chunk(100..500) + END, BROKEN),
        (part("100-499/*") + &chunk(100..500) + END, BROKEN),
        (
            part("100-1000/1000") + &chunk(100..1000) + END,
            NOT_RESUMABLE,
        ),
        (part("100-99/1000") + END, NOT_RESUMABLE),
        (
            part("100-999/many") + &chunk(100..1000) + END,
            NOT_RESUMABLE,
        ),
    ] {
        let state = checkpoint(&file, 100, Some(1000));
        let next = leg_of_response(response.clone(), Some(state)).await;
        assert_eq!(end(&file, next), expected, "{response}");
    }
    for (response, expected) in [
        (part("100-999/1000") + &chunk(100..1000) + END, DONE),
        (part("100-499/1000") + &chunk(100..500) + END, BROKEN),
        (part("100-999/*") + &chunk(100..1000) + END, NOT_RESUMABLE),
        (part("100-499/*") + &chunk(100..500) + END, NOT_RESUMABLE),
    ] {
        let state = checkpoint(&file, 100, None);
        let next = leg_of_response(response.clone(), Some(state)).await;
        assert_eq!(end(&file, next), expected, "{response}");
    }
}

/// `Transfer-Encoding` overrides `Content-Length` (RFC 9112, section 6.3).
#[tokio::test]
async fn a_length_that_does_not_count_is_not_the_size() {
    let response = concat!(
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        "3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let next = leg_of_response(response.to_owned(), None).await;
    let file = File::of(b"abcabc".to_vec());
    assert_eq!(end(&file, next), "6");
}

#[tokio::test]
async fn a_file_that_ends_with_its_leg_is_done() {
    for says_size in [true, false] {
        let server = Server::with(File {
            says_size,
            ..File::of(b"abc".to_vec())
        })
        .await;
        assert!(matches!(server.leg_until(1, None).await, Ok(Next::Done(_))));
    }
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
        ..File::of(vec![7; 2 * PIECE])
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
async fn a_short_leg_may_read_little() {
    assert_eq!(bytes_min(HALF), 256 * 1024);
    assert_eq!(bytes_min(HALF / 60), 4369);
    assert_eq!(bytes_min(HALF / 120), 1);
    let file = File {
        says_size: false,
        ..File::of(vec![7; 10 * PIECE])
    };
    let server = Server::with(file).await;
    let test = || TestContext::new().time_left(Duration::from_secs(2));
    let next = server.leg_in(None, test().advance_at(1, Duration::from_secs(1)));
    let (state, after) = saved(next.await);
    assert_eq!((state.bytes, after), (PIECE as u64, Duration::ZERO));
    server.change(|file| file.breaks_after = Some(4 * PIECE));
    let (_, after) = saved(server.leg_in(None, test()).await);
    assert_eq!(after, BROKEN_WAIT);
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
    for time_left in [ATTEMPT, Duration::from_secs(20)] {
        let test = || TestContext::new().time_left(time_left);
        let most = time_left * 9 / 10;
        let next = server.leg_in(None, test().advance_at(2, most)).await;
        assert!(matches!(next, Ok(Next::Done(_))));
        // The error is returned before the attempt is aborted, which would hide the reason.
        let nearly_all = time_left * 19 / 20;
        let next = server.leg_in(None, test().advance_at(2, nearly_all)).await;
        let (code, _, retryable) = error(next);
        assert_eq!((code.as_str(), retryable), ("FILE_NOT_RESUMABLE", false));
    }
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
