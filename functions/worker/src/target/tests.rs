//! Attempts against a scripted server of Lambda's Invoke API, over real HTTP.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use shared::clock::{BoxFuture, ManualClock};
use shared::random::SeededRandom;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::work::Next;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A clock that jumps to the time for which it is asked to wait.
struct JumpingClock(ManualClock);

impl Clock for JumpingClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep_until(&self, wake: Timestamp) -> BoxFuture<'_, ()> {
        self.0.advance(wake.since(self.0.now()));
        Box::pin(std::future::ready(()))
    }
}

/// What the server does with one connection.
#[derive(Debug, Clone)]
enum Act {
    /// Reads the request, and sends this response.
    Respond(String),
    /// Closes the connection before it reads the request.
    CloseFirst,
    /// Reads the request, sends this part of a response and closes the connection.
    Cut(String),
    /// Reads the request, and waits until the client closes the connection.
    Stall,
}

struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
    last_request: Arc<Mutex<String>>,
    closed: watch::Receiver<bool>,
}

impl Server {
    /// Repeats the last act.
    async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (requests, last_request) = (Arc::default(), Arc::default());
        let (closing, closed) = watch::channel(false);
        let server = Self {
            url,
            requests: Arc::clone(&requests),
            last_request: Arc::clone(&last_request),
            closed,
        };
        tokio::spawn(async move {
            let mut acts = acts.into_iter();
            let mut act = acts.next().unwrap();
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                serve(connection, &act, &requests, &last_request).await;
                closing.send_replace(true);
                act = acts.next().unwrap_or(act);
            }
        });
        server
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut connection: TcpStream,
    act: &Act,
    requests: &AtomicUsize,
    last_request: &Mutex<String>,
) {
    if matches!(act, Act::CloseFirst) {
        return;
    }
    *last_request.lock().unwrap() = read_request(&mut connection).await;
    requests.fetch_add(1, Ordering::SeqCst);
    match act {
        Act::Respond(response) | Act::Cut(response) => {
            connection.write_all(response.as_bytes()).await.unwrap();
        }
        Act::Stall => while connection.read_u8().await.is_ok() {},
        Act::CloseFirst => {}
    }
}

async fn read_request(connection: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        connection.read_buf(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse::<usize>().unwrap())
        });
        if body.len() == length.unwrap_or(0) {
            return text.into_owned();
        }
    }
}

fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Act {
    let lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let (headers, length) = (lines.concat(), body.len());
    Act::Respond(format!(
        "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    ))
}

fn returned(body: &str) -> Act {
    response(200, &[], body)
}

fn raised(body: &str) -> Act {
    response(200, &[("x-amz-function-error", "Unhandled")], body)
}

fn refused(status: u16, code: &str) -> Act {
    let body = format!(r#"{{"Message":"internal detail","Type":"User","__type":"{code}"}}"#);
    response(status, &[("x-amzn-errortype", code)], &body)
}

fn target() -> &'static Target {
    Box::leak(Box::new(Target {
        function: "image-resize:live".parse().unwrap(),
        permanent_errors: ["ValueError", "app.Gone", "Runtime.Named"]
            .map(str::to_owned)
            .into(),
        send_owner: false,
        send_metadata: false,
        local: None,
    }))
}

fn targets(url: &str, clock: &ManualClock) -> Arc<Targets> {
    let environment = Environment::from_iter([
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL_LAMBDA", url),
    ]);
    let connector: SharedHttpConnector = aws::http_connector(&environment).unwrap();
    let aws = Aws::new(&environment, connector).unwrap();
    let clock = Arc::new(JumpingClock(clock.clone()));
    Arc::new(Targets::new(&environment, &aws, clock, Arc::new(SeededRandom::new(1))).unwrap())
}

/// One attempt of five minutes.
async fn attempt(server: &Server, clock: &ManualClock) -> Outcome {
    let deadline = clock.now() + Duration::from_secs(300);
    let targets = targets(&server.url, clock);
    let ended = targets.attempt(target(), "{}".to_owned(), deadline).await;
    match ended {
        Ok(Next::Done(result)) => Ok(result.as_str().to_owned()),
        Ok(Next::Continue { state, after }) => {
            Ok(format!("{} after {} s", state.as_str(), after.as_secs()))
        }
        Err(WorkError { error, retryable }) => Err((error.code, error.message, retryable)),
    }
}

const LAST: bool = false;
const AGAIN: bool = true;

type Outcome = Result<String, (String, String, bool)>;

fn failed(code: &str, message: &str, retryable: bool) -> Outcome {
    Err((code.to_owned(), message.to_owned(), retryable))
}

/// Holds each response to its outcome, and to one request: the target may have run.
async fn assert_outcomes(cases: Vec<(Act, Outcome)>) {
    for (act, expected) in cases {
        let (server, clock) = (
            Server::start(vec![act.clone()]).await,
            ManualClock::new(START),
        );
        assert_eq!(attempt(&server, &clock).await, expected, "{act:?}");
        assert_eq!((server.requests(), clock.now()), (1, START), "{act:?}");
    }
}

#[tokio::test]
async fn what_a_target_returns_is_the_result_or_names_an_error() {
    let invalid = |message: &str| failed("TARGET_ANSWER_INVALID", message, LAST);
    let malformed = "the target's $error must have code (up to 64 letters, digits and any of _-.) \
                     and message, may have details and retryable, and nothing else";
    assert_outcomes(vec![
        (
            returned(r#"{"key": "a.png"}"#),
            Ok(r#"{"key":"a.png"}"#.to_owned()),
        ),
        (returned("null"), Ok("null".to_owned())),
        (returned(""), Ok("null".to_owned())),
        (
            returned("9007199254740993"),
            Ok("9007199254740993".to_owned()),
        ),
        (
            returned(r#"{"$ref":1,"a":2}"#),
            Ok(r#"{"$ref":1,"a":2}"#.to_owned()),
        ),
        (
            returned("no JSON"),
            invalid("the target returned no valid JSON"),
        ),
        (
            returned("{} {}"),
            invalid("the target returned no valid JSON"),
        ),
        (
            returned(r#"{"a":1,"a":2}"#),
            invalid("the target's result /a is given more than once"),
        ),
        (
            returned(r#"{"$resume":{}}"#),
            invalid("the target returned the reserved member $resume"),
        ),
        (
            returned(r#"{"$error":{"code":"SOLD_OUT"}}"#),
            invalid(malformed),
        ),
        (
            returned(r#"{"$error":{"code":"BUSY","message":"m","retriable":false}}"#),
            invalid(malformed),
        ),
        (
            returned(r#"{"$error":{"code":"","message":"m"}}"#),
            invalid(malformed),
        ),
        (
            returned(r#"{"$error":{"code":"<b>","message":"m"}}"#),
            invalid(malformed),
        ),
        (
            returned(r#"{"$error":{"code":"SOLD_OUT","message":"none left","retryable":false}}"#),
            failed("SOLD_OUT", "none left", LAST),
        ),
        (
            returned(r#"{"$error":{"code":"BUSY","message":"later","details":{"n":1}}}"#),
            failed("BUSY", "later", AGAIN),
        ),
        (
            returned(r#"{"$error":{"code":"INTERNAL_ERROR","message":"m"}}"#),
            failed("TARGET_INTERNAL_ERROR", "m", AGAIN),
        ),
        (
            returned(r#"{"$error":{"code":"UNAVAILABLE","message":"m"}}"#),
            failed("TARGET_TARGET_UNAVAILABLE", "m", AGAIN),
        ),
    ])
    .await;
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let server = Server::start(vec![returned(&deep)]).await;
    let (code, _, retryable) = attempt(&server, &ManualClock::new(START))
        .await
        .unwrap_err();
    assert_eq!((code.as_str(), retryable), ("TARGET_ANSWER_INVALID", LAST));
}

#[tokio::test]
async fn a_target_continues_with_a_state_or_the_error_names_the_wrong_member() {
    let continues = |state: &str, secs: u32| Ok(format!("{state} after {secs} s"));
    let returned = |members: &str| returned(&format!(r#"{{"$continue":{members}}}"#));
    let invalid = |message: &str| {
        let message = format!("the target's $continue{message}");
        failed("TARGET_ANSWER_INVALID", &message, LAST)
    };
    let wait = || invalid(".after_seconds must be a whole number from 0 to 604800");
    let too_large = failed(
        "STATE_TOO_LARGE",
        "the state is too large; the limit is 65536 bytes",
        LAST,
    );
    let mut cases = vec![
        (
            returned(r#"{"state":{"row": 9007199254740993}}"#),
            continues(r#"{"row":9007199254740993}"#, 0),
        ),
        (
            returned(r#"{"state":null,"after_seconds":604800}"#),
            continues("null", 604_800),
        ),
        (
            returned(r#"{"after_seconds":6e1,"state":1}"#),
            continues("1", 60),
        ),
        (returned("7"), invalid(" must be an object")),
        (returned("null"), invalid(" must be an object")),
        (returned("{}"), invalid(" must have the member state")),
        (
            returned(r#"{"after_seconds":1}"#),
            invalid(" must have the member state"),
        ),
        (
            returned(r#"{"state":1,"after":1}"#),
            invalid(" has the unknown member after"),
        ),
        (
            returned(&format!(r#"{{"state":"{}"}}"#, "a".repeat(300_000))),
            too_large,
        ),
    ];
    for secs in ["-1", "1.5", "604801", "null", r#""1""#, "1e999", "{}"] {
        let members = format!(r#"{{"state":1,"after_seconds":{secs}}}"#);
        cases.push((returned(&members), wait()));
    }
    assert_outcomes(cases).await;
}

#[tokio::test]
async fn what_a_target_raises_is_permanent_only_if_the_file_or_the_type_says_so() {
    let crashed = failed("TARGET_CRASHED", "the target ended without a result", AGAIN);
    let timed_out = failed(
        "TARGET_TIMED_OUT",
        "the target exceeded its own timeout",
        AGAIN,
    );
    assert_outcomes(vec![
        (
            raised(r#"{"errorType":"ValueError","errorMessage":"no","stackTrace":["secret"]}"#),
            failed("VALUE_ERROR", "no", LAST),
        ),
        (
            raised(r#"{"errorType":"PermanentError","errorMessage":"no"}"#),
            failed("PERMANENT_ERROR", "no", LAST),
        ),
        (
            raised(r#"{"errorType":"app.Gone","errorMessage":"no"}"#),
            failed("GONE", "no", LAST),
        ),
        (
            raised(r#"{"errorType":"KeyError","errorMessage":"<b>x</b>","trace":["secret"]}"#),
            failed("KEY_ERROR", "<b>x</b>", AGAIN),
        ),
        (
            raised(r#"{"errorType":"ValueError","errorMessage":null,"stackTrace":[],"trace":[]}"#),
            failed("VALUE_ERROR", "the target raised ValueError", LAST),
        ),
        (
            raised(r#"{"errorType":"ValueError","errorMessage":"Task timed out"}"#),
            failed("VALUE_ERROR", "Task timed out", LAST),
        ),
        (
            raised(r#"{"errorType":"Runtime.MarshalError","errorMessage":"a set"}"#),
            failed(
                "TARGET_ANSWER_INVALID",
                "the target returned no valid JSON",
                LAST,
            ),
        ),
        (
            raised(r#"{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"7 MB"}"#),
            failed(
                "RESULT_TOO_LARGE",
                "the result is too large; the limit is 262144 bytes",
                LAST,
            ),
        ),
        (
            raised(r#"{"errorType":"Runtime.Named","errorMessage":"exit status 1"}"#),
            failed("TARGET_CRASHED", "the target ended without a result", LAST),
        ),
        (
            raised(r#"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 1"}"#),
            timed_out.clone(),
        ),
        (
            raised(r#"{"errorMessage":"2026 1 Task timed out after 3.00 seconds"}"#),
            timed_out,
        ),
        (
            raised(r#"{"errorType":"Runtime.ExitError","errorMessage":"exit status 1"}"#),
            crashed.clone(),
        ),
        (
            raised(r#"{"errorType":"Runtime.OutOfMemory","errorMessage":"killed"}"#),
            crashed.clone(),
        ),
        (raised("no JSON"), crashed.clone()),
        (raised(r#"{"errorType":7}"#), crashed),
    ])
    .await;
}

#[tokio::test]
async fn what_lambda_refuses_is_tried_again_unless_it_will_refuse_it_again() {
    let unavailable = failed("TARGET_UNAVAILABLE", "the target cannot be invoked", AGAIN);
    let may_have_run = failed(
        "TARGET_UNAVAILABLE",
        "the invocation failed; the target may have run",
        AGAIN,
    );
    let refusal = failed("TARGET_REFUSED", "the target refused the invocation", LAST);
    assert_outcomes(vec![
        (refused(403, "AccessDeniedException"), unavailable.clone()),
        (
            refused(404, "ResourceNotFoundException"),
            unavailable.clone(),
        ),
        (refused(502, "KMSDisabledException"), unavailable.clone()),
        (refused(502, "InvalidRuntimeException"), unavailable.clone()),
        (refused(415, "UnsupportedMediaTypeException"), unavailable),
        (refused(500, "ServiceException"), may_have_run.clone()),
        (refused(410, "EFSIOException"), may_have_run.clone()),
        (response(503, &[], "busy"), may_have_run),
        (refused(413, "RequestTooLargeException"), refusal.clone()),
        (refused(400, "RecursiveInvocationException"), refusal),
    ])
    .await;
}

#[tokio::test]
async fn a_target_that_did_not_begin_is_invoked_again_in_the_same_attempt() {
    for code in [
        "TooManyRequestsException",
        "ResourceConflictException",
        "ResourceNotReadyException",
        "EC2ThrottledException",
        "ENILimitReachedException",
        "EFSMountTimeoutException",
        "SubnetIPAddressLimitReachedException",
        "SnapStartNotReadyException",
    ] {
        let acts = vec![refused(429, code), refused(429, code), returned("1")];
        let (server, clock) = (Server::start(acts).await, ManualClock::new(START));
        assert_eq!(attempt(&server, &clock).await, Ok("1".to_owned()), "{code}");
        assert_eq!(server.requests(), 3, "{code}");
        let waited = clock.now().since(START);
        assert!(
            (300..=600).contains(&waited.as_millis()),
            "{code} {waited:?}"
        );
    }
}

#[tokio::test]
async fn lambdas_retry_after_is_waited_for() {
    let body = r#"{"message":"Rate exceeded","retryAfterSeconds":"7"}"#;
    let headers = [
        ("x-amzn-errortype", "TooManyRequestsException"),
        ("retry-after", "7"),
    ];
    let acts = vec![response(429, &headers, body), returned("1")];
    let (server, clock) = (Server::start(acts).await, ManualClock::new(START));
    assert_eq!(attempt(&server, &clock).await, Ok("1".to_owned()));
    assert_eq!(clock.now().since(START), Duration::from_secs(7));
}

#[tokio::test]
async fn a_target_that_never_begins_uses_up_a_minute_or_half_of_the_attempt() {
    for (attempt_secs, longest_secs) in [(300, 60), (40, 20)] {
        let server = Server::start(vec![refused(429, "TooManyRequestsException")]).await;
        let clock = ManualClock::new(START);
        let targets = targets(&server.url, &clock);
        let deadline = START + Duration::from_secs(attempt_secs);
        let ended = targets.attempt(target(), "{}".to_owned(), deadline).await;
        let WorkError { error, retryable } = ended.unwrap_err();
        assert_eq!((error.code.as_str(), retryable), ("TARGET_THROTTLED", true));
        let waited = clock.now().since(START).as_secs();
        assert!(
            (longest_secs - 5..=longest_secs).contains(&waited),
            "{waited}"
        );
        assert!((10..=50).contains(&server.requests()));
    }
}

#[tokio::test]
async fn a_target_that_cannot_be_reached_is_tried_again_in_the_same_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let clock = ManualClock::new(START);
    let deadline = START + Duration::from_secs(300);
    let ended = targets(&url, &clock)
        .attempt(target(), "{}".to_owned(), deadline)
        .await;
    let WorkError { error, retryable } = ended.unwrap_err();
    assert_eq!(
        (error.code.as_str(), retryable),
        ("TARGET_UNREACHABLE", true)
    );
    assert!(clock.now().since(START) > Duration::from_secs(50));
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_never_sent_again() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345";
    for (act, requests) in [
        (Act::CloseFirst, 0),
        (Act::Cut(String::new()), 1),
        (Act::Cut("HTTP/1.1 200 OK\r\nconte".to_owned()), 1),
        (Act::Cut(half.to_owned()), 1),
        (Act::Cut("no HTTP\r\n\r\n".to_owned()), 1),
    ] {
        let server = Server::start(vec![act.clone(), returned("1")]).await;
        let clock = ManualClock::new(START);
        let (code, _, retryable) = attempt(&server, &clock).await.unwrap_err();
        assert_eq!((code.as_str(), retryable), ("TARGET_LOST", true), "{act:?}");
        assert_eq!(
            (server.requests(), clock.now()),
            (requests, START),
            "{act:?}"
        );
    }
}

#[tokio::test]
async fn an_abort_drops_the_request_at_once() {
    let mut server = Server::start(vec![Act::Stall]).await;
    let clock = ManualClock::new(START);
    let targets = targets(&server.url, &clock);
    let (abort, aborted) = watch::channel(false);
    let deadline = START + Duration::from_secs(300);
    let work = targets.start(target(), "{}".to_owned(), deadline, aborted);
    while server.requests() == 0 {
        tokio::task::yield_now().await;
    }
    abort.send_replace(true);
    assert!(matches!(work.await.unwrap(), WorkEnd::Aborted));
    server.closed.wait_for(|closed| *closed).await.unwrap();
}

#[tokio::test]
async fn a_target_is_invoked_by_its_name_and_alias_with_the_document() {
    let server = Server::start(vec![returned("1")]).await;
    let clock = ManualClock::new(START);
    let deadline = START + Duration::from_secs(300);
    let document = r#"{"type":"ferry.attempt","data":{"arguments":{"n":1.0}}}"#.to_owned();
    let targets = targets(&server.url, &clock);
    targets
        .attempt(target(), document.clone(), deadline)
        .await
        .unwrap();
    let request = server.last_request.lock().unwrap().clone();
    let first = request.lines().next().unwrap();
    assert_eq!(
        first,
        "POST /2015-03-31/functions/image-resize%3Alive/invocations HTTP/1.1"
    );
    assert!(request.ends_with(&document), "{request}");
}
