//! The console: pages that show every operation, and act on them.
//!
//! It is for people who develop and run Ferry, on the loopback interface of their own machine. It
//! reads the store and sends to the queues of [`shared`] itself, as the operator tool does, and
//! acts as the owner of the operation that it acts on. The program that serves it names the
//! [`Place`] that it shows.
//!
//! | module | serves |
//! |---|---|
//! | `guard` | nothing: it refuses requests of other pages, other machines and other names |
//! | `assets` | the page: HTML, style and script, compiled in |
//! | `list` | the operations of one owner, or of all owners, newest first |
//! | `operation` | one operation |
//! | `record` | what is stored of one operation |
//! | `actions` | cancel, redeliver, redrive, erase, wake up |
//! | `submission` | functions and submits, through the API |
//! | `queues` | queues and processes |
//! | `place` | what the page says about where it is |

mod actions;
mod assets;
mod guard;
mod list;
mod operation;
mod place;
mod queues;
mod record;
mod refusal;
mod submission;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use shared::aws::Aws;
use shared::catalogue::Catalogue;
use shared::clock::Clock;
use shared::config::{Environment, SettingError};
use shared::operations::{Operations, Submissions};
use shared::queue::Queue;
use shared::random::Random;
use shared::store::Store;
use tokio::net::TcpListener;

pub use self::place::{Api, Place};
pub use self::queues::{ProcessesView, QueueView};
use self::refusal::Refusal;
pub use self::submission::OWN_NAME;

/// Who acts, in the audit record.
const ACTOR: &str = "console";

/// The largest request: a submit, which API Gateway limits to 10 MB, with what is around it.
const BODY_BYTES_MAX: usize = 11 * 1024 * 1024;

/// The console of one table and its queues. Cheap to clone.
#[derive(Clone)]
pub struct Console(Arc<Shared>);

struct Shared {
    store: Store,
    dispatch: Queue,
    callbacks: Queue,
    operations: Operations,
    submissions: RwLock<Arc<Submissions>>,
    environment: Environment,
    place: Arc<dyn Place>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Console {
    /// # Errors
    ///
    /// When a setting is missing or malformed.
    pub fn new(
        environment: &Environment,
        aws: &Aws,
        place: Arc<dyn Place>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, SettingError> {
        let store = aws.store(environment)?;
        let dispatch = aws.queue(environment, "DISPATCH_QUEUE_URL")?;
        let callbacks = aws.queue(environment, "CALLBACK_QUEUE_URL")?;
        let operations = Operations::new(
            store.clone(),
            callbacks.clone(),
            Arc::clone(&clock),
            Arc::clone(&random),
        )
        .acting_as(ACTOR);
        let submissions = submissions(environment, &operations, &dispatch)?;
        Ok(Self(Arc::new(Shared {
            store,
            dispatch,
            callbacks,
            operations,
            submissions: RwLock::new(Arc::new(submissions)),
            environment: environment.clone(),
            place,
            clock,
            random,
        })))
    }

    /// Reads the functions file again, by which redrives are checked.
    ///
    /// # Errors
    ///
    /// When it is not valid. The functions stay as they were.
    pub fn reload(&self) -> Result<(), SettingError> {
        let Shared {
            environment,
            operations,
            dispatch,
            ..
        } = &*self.0;
        let renewed = Arc::new(submissions(environment, operations, dispatch)?);
        *self
            .0
            .submissions
            .write()
            .unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    /// Serves on `listener`, which must be on the loopback interface, until the future is dropped.
    ///
    /// # Errors
    ///
    /// When the listener has no local address.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let port = listener.local_addr()?.port();
        axum::serve(listener, self.router(port)).await
    }

    /// Its routes, behind the guard of a listener with this port.
    pub fn router(self, port: u16) -> Router {
        let api = Router::new()
            .route("/api/place", get(place::place))
            .route("/api/list", get(list::list))
            .route("/api/operation/{id}", get(operation::read))
            .route("/api/operation/{id}/stored", get(operation::stored))
            .route("/api/operation/{id}/record", get(record::record))
            .route("/api/operation/{id}/{action}", post(actions::act))
            .route("/api/functions", get(submission::functions))
            .route("/api/submit", post(submission::submit))
            .route("/api/queues", get(queues::queues))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(self);
        guard::guarded(api.merge(assets::router()), port)
    }

    fn submissions(&self) -> Arc<Submissions> {
        let submissions = self.0.submissions.read();
        Arc::clone(&submissions.unwrap_or_else(PoisonError::into_inner))
    }
}

fn submissions(
    environment: &Environment,
    operations: &Operations,
    dispatch: &Queue,
) -> Result<Submissions, SettingError> {
    Ok(Submissions::new(
        operations.clone(),
        dispatch.clone(),
        Catalogue::load(environment)?,
        environment.allowed_networks("CALLBACK_ALLOWED_NETWORKS")?,
        // Only the ids of idempotency keys depend on the salt, and a redrive has none.
        String::new(),
    ))
}

fn json(body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => Refusal::unexpected(&error).into_response(),
    }
}

/// A body that a page polls: 304 without one while it is the same.
fn polled(headers: &HeaderMap, body: &impl Serialize) -> Response {
    let body = match serde_json::to_vec(body) {
        Ok(body) => body,
        Err(error) => return Refusal::unexpected(&error).into_response(),
    };
    let etag = assets::etag(&body);
    let is_known = headers
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == etag.as_bytes());
    if is_known {
        return (StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response();
    }
    let headers = [(ETAG, etag), (CONTENT_TYPE, "application/json".to_owned())];
    (headers, Bytes::from(body)).into_response()
}
