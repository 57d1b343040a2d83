//! `file.checksum`, from a server on the loopback interface.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tests::queues::QueueKind;
use tests::world::World;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::messages::MINUTE;

/// The checksum by `sha256sum`.
const SHA256: &str = "2c030d49ec131bfbbb446ad21e7a2f12cdb4f2f4f3fda3ac709dd2e68a4646c7";
const SIZE: usize = 1_000_000;
/// More than the least that a leg has to read before it may continue.
const PART: usize = 400_000;

/// A file on a server: its first response breaks after a part, its second one never goes on after
/// one, and each later one is whole. The server stops when it is dropped.
struct File {
    url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    /// The first byte that each request asked for.
    requests: Mutex<Vec<usize>>,
    stalled: Notify,
}

impl File {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        let shared = Arc::new(Shared::default());
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            shared,
            _server: server,
        }
    }

    fn requests(&self) -> Vec<usize> {
        self.shared.requests.lock().unwrap().clone()
    }
}

async fn serve(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let range = headers.get(RANGE).map(|range| range.to_str().unwrap());
    let from = range.map(|range| {
        let from = range.strip_prefix("bytes=").unwrap();
        from.strip_suffix('-').unwrap().parse::<usize>().unwrap()
    });
    let first = from.unwrap_or(0);
    let number = {
        let mut requests = shared.requests.lock().unwrap();
        requests.push(first);
        requests.len()
    };
    let rest = (first..SIZE).map(|index| u8::try_from(index % 251).unwrap());
    let rest: Bytes = rest.collect();
    let part = || {
        let part = rest.slice(..PART);
        stream::once(async move { Ok(part) })
    };
    let body = match number {
        1 => Body::from_stream(part().chain(stream::once(async {
            // The server sends what it has when there is nothing more at the moment.
            tokio::task::yield_now().await;
            Err("broken")
        }))),
        2 => Body::from_stream(part().chain(stream::once(async move {
            shared.stalled.notify_one();
            std::future::pending::<Result<Bytes, &str>>().await
        }))),
        _ => Body::from(rest),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, (SIZE - first).into());
    headers.insert(ETAG, "\"one\"".parse().unwrap());
    if from.is_some() {
        let range = format!("bytes {first}-{}/{SIZE}", SIZE - 1);
        headers.insert(CONTENT_RANGE, range.parse().unwrap());
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    response
}

#[tokio::test]
async fn a_worker_that_dies_within_a_leg_costs_what_the_leg_has_read() {
    let world = World::with([
        ("FILE_ALLOWED_NETWORKS", "127.0.0.0/8"),
        ("LOCAL_BUNDLE", "1"),
    ])
    .await;
    let file = File::start().await;
    let body = json!({"function": "file.checksum", "arguments": {"url": file.url}});
    let id = world.submit(body).await.json["id"].clone();
    let id = id.as_str().unwrap();
    assert!(world.pump(QueueKind::Dispatch).await);
    let resumes_at = world.next_message_at(QueueKind::Dispatch).unwrap();
    let clock = &world.clock;
    clock.advance(resumes_at.since(shared::clock::Clock::now(clock)));
    tokio::select! {
        _ = world.pump(QueueKind::Dispatch) => panic!("the leg ended"),
        () = file.shared.stalled.notified() => {}
    }
    clock.advance(MINUTE);
    assert!(world.pump(QueueKind::Dispatch).await);

    let done = world.show(id).await;
    assert_eq!(done["result"], json!({"bytes": SIZE, "sha256": SHA256}));
    let requests = file.requests();
    // How much of a broken response arrives is not known.
    assert!(requests[1] > 0);
    assert_eq!(requests, [0, requests[1], requests[1]]);
    let attempts = done["attempts"].as_array().unwrap().iter();
    let outcomes: Vec<_> = attempts.map(|attempt| &attempt["outcome"]).collect();
    assert_eq!(outcomes, ["continued", "lost", "completed"]);
}
