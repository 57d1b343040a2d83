//! Where the console is: what it cannot find out from store and queues.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use futures_util::future::BoxFuture;
use serde::Serialize;
use shared::domain::operation::Owner;

use crate::queues::{ProcessesView, QueueView};
use crate::{Console, polled};

/// The deployment that a console shows.
pub trait Place: Send + Sync {
    /// Its name for people, such as `this machine`.
    fn name(&self) -> String;

    /// The owners whose operations are shown when none is named. An owner who is missing can still
    /// be named.
    fn owners(&self) -> Vec<Owner>;

    /// The two queues and their dead-letter queues as they are now.
    fn queues(&self) -> BoxFuture<'_, Vec<QueueView>>;

    /// The processes of the functions; none where nothing is known of them.
    fn processes(&self) -> Vec<ProcessesView>;

    /// The API, for submits; `None` for a console that does not submit.
    fn api(&self) -> Option<Api>;
}

/// An API that submits are sent to.
pub struct Api {
    /// Without a slash at its end.
    pub url: String,
    pub client: reqwest::Client,
    /// The `Authorization` of an owner's requests; `None` for an owner that it cannot act for.
    pub authorization: fn(&Owner) -> Option<String>,
}

/// `GET /api/place`.
pub(crate) async fn place(State(console): State<Console>, headers: HeaderMap) -> Response {
    #[derive(Serialize)]
    struct View<'a> {
        name: String,
        table: &'a str,
        owners: Vec<String>,
        /// Where submits go; absent when there are none.
        #[serde(skip_serializing_if = "Option::is_none")]
        api_url: Option<String>,
    }
    let place = &console.0.place;
    let owners = place.owners();
    let view = View {
        name: place.name(),
        table: console.0.store.table(),
        owners: owners
            .iter()
            .map(|owner| owner.as_str().to_owned())
            .collect(),
        api_url: place.api().map(|api| api.url),
    };
    polled(&headers, &view)
}
