//! Functions and submits, through the API: the page submits as any caller does.

use std::collections::BTreeMap;

use axum::body::{Bytes, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use shared::domain::operation::Owner;

use crate::list::owner_of;
use crate::refusal::Refusal;
use crate::{Api, Console, json};

/// The name of the owner of the console's own requests, which show the same to every owner.
pub const OWN_NAME: &str = "console";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submit<'a> {
    owner: String,
    #[serde(default)]
    idempotency_key: Option<String>,
    /// The body of the API's submit, exactly as it is sent.
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Deserialize, Serialize)]
struct Listed {
    /// As texts, since numbers of a schema stay as they are written.
    functions: Vec<BTreeMap<String, Box<RawValue>>>,
}

/// `GET /api/functions`, as the API has it, with what callers do not see of each: its side effects
/// and its target.
pub(crate) async fn functions(State(console): State<Console>) -> Result<Response, Refusal> {
    let api = console.api()?;
    let owner = owner_of(OWN_NAME)?;
    let request = api.client.get(format!("{}/functions", api.url));
    let response = send(&api, &owner, request).await?;
    if response.status() != StatusCode::OK {
        return Ok(response);
    }
    let body = to_bytes(response.into_body(), usize::MAX).await;
    let body = body.map_err(|error| Refusal::unexpected(&error))?;
    let mut listed: Listed =
        serde_json::from_slice(&body).map_err(|error| Refusal::unexpected(&error))?;
    let catalogue = console.submissions().catalogue();
    for function in &mut listed.functions {
        let text = |name: &str| {
            let raw = function.get(name)?;
            serde_json::from_str::<String>(raw.get()).ok()
        };
        let (name, version) = (text("name"), text("version"));
        let mut entries = catalogue.entries();
        // After a change of the functions file the API may have others for a moment.
        let Some(entry) = entries.find(|entry| {
            (Some(entry.name), Some(entry.version)) == (name.as_deref(), version.as_deref())
        }) else {
            continue;
        };
        let target = entry.target().map(|target| target.function.as_str());
        let side_effects = to_raw_value(entry.side_effects);
        let members = [
            ("side_effects", side_effects),
            ("target", to_raw_value(&target)),
        ];
        for (member, value) in members {
            let value = value.map_err(|error| Refusal::unexpected(&error))?;
            function.insert(member.to_owned(), value);
        }
    }
    Ok(json(&listed))
}

/// `POST /api/submit`, answered as the API answers.
pub(crate) async fn submit(
    State(console): State<Console>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let submit: Submit<'_> = serde_json::from_slice(&body)
        .map_err(|_| Refusal::invalid("the body must be an object with owner and body"))?;
    let api = console.api()?;
    let owner = owner_of(&submit.owner)?;
    let mut request = api
        .client
        .post(format!("{}/operations", api.url))
        .header(CONTENT_TYPE, "application/json")
        .body(submit.body.get().to_owned());
    if let Some(key) = submit.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    send(&api, &owner, request).await
}

impl Console {
    fn api(&self) -> Result<Api, Refusal> {
        let sentence = "this console does not submit";
        let api = self.0.place.api();
        api.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, sentence))
    }
}

async fn send(
    api: &Api,
    owner: &Owner,
    request: reqwest::RequestBuilder,
) -> Result<Response, Refusal> {
    let authorization = (api.authorization)(owner)
        .ok_or_else(|| Refusal::invalid("the API cannot be called as this owner"))?;
    let response = request.header(AUTHORIZATION, authorization).send().await;
    let response = response.map_err(|error| Refusal::unexpected(&error))?;
    let status = response.status();
    let media_type = response.headers().get(CONTENT_TYPE).cloned();
    let body = response.bytes().await;
    let body = body.map_err(|error| Refusal::unexpected(&error))?;
    let mut answer = (status, body).into_response();
    if let Some(media_type) = media_type {
        answer.headers_mut().insert(CONTENT_TYPE, media_type);
    }
    Ok(answer)
}
