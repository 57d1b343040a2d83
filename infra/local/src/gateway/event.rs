//! The event that a function receives for a request: payload format 2.0.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
//!
//! Where that page is silent, this does what was observed on AWS: a path is delivered decoded
//! (<https://github.com/middleapi/standard-server/pull/93>), empty members are left out, and
//! cookies are in `cookies` and not in `headers`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use shared::domain::time::Timestamp;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::ACCOUNT_ID;

/// Headers of a connection, not of a request (RFC 9110, section 7.6.1), which a proxy consumes.
const CONNECTION_HEADERS: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Content types whose bodies arrive as text, besides `text/*`. All other bodies arrive as base64,
/// including forms and bodies without a type. AWS does not document it; it was observed there
/// (<https://github.com/ministackorg/ministack/pull/766>).
const TEXT_TYPES: [&str; 3] = [
    "application/javascript",
    "application/json",
    "application/xml",
];

/// A request that has a route and passed the authorizer.
pub(super) struct Call<'a> {
    pub(super) request: &'a Parts,
    pub(super) body: Bytes,
    pub(super) route_key: &'static str,
    pub(super) path_parameters: BTreeMap<&'static str, String>,
    /// `None` on a public route, which has no authorizer.
    pub(super) owner: Option<String>,
    pub(super) peer: IpAddr,
    /// The gateway's port.
    pub(super) port: u16,
    pub(super) request_id: String,
    pub(super) now: Timestamp,
}

impl Call<'_> {
    /// As JSON.
    pub(super) fn event(&self) -> Bytes {
        let query = self.request.uri.query().unwrap_or_default();
        let mut event = json!({
            "version": "2.0",
            "routeKey": self.route_key,
            "rawPath": self.path(),
            "rawQueryString": query,
            "headers": self.headers(),
            "requestContext": self.context(),
            "isBase64Encoded": false,
        });
        let cookies = self.cookies();
        if !cookies.is_empty() {
            event["cookies"] = json!(cookies);
        }
        if !query.is_empty() {
            event["queryStringParameters"] = query_parameters(query);
        }
        if !self.path_parameters.is_empty() {
            event["pathParameters"] = json!(self.path_parameters);
        }
        if !self.body.is_empty() {
            let text = is_text(self.request.headers.get(CONTENT_TYPE))
                .then(|| std::str::from_utf8(&self.body).ok())
                .flatten();
            event["isBase64Encoded"] = json!(text.is_none());
            event["body"] =
                json!(text.map_or_else(|| STANDARD.encode(&self.body), ToOwned::to_owned));
        }
        event.to_string().into()
    }

    fn context(&self) -> Value {
        let host = self.header(&HOST);
        let mut context = json!({
            "accountId": ACCOUNT_ID,
            "apiId": "local",
            "domainName": host,
            "domainPrefix": host.split('.').next(),
            "http": {
                "method": self.request.method.as_str(),
                "path": self.path(),
                "protocol": format!("{:?}", self.request.version),
                "sourceIp": self.peer.to_string(),
                "userAgent": self.header(&USER_AGENT),
            },
            "requestId": self.request_id,
            "routeKey": self.route_key,
            "stage": "$default",
            "time": common_log_time(self.now),
            "timeEpoch": self.now.as_millis(),
        });
        if let Some(owner) = &self.owner {
            context["authorizer"] = json!({"lambda": {"local_owner": owner}});
        }
        context
    }

    /// Names are in lower case, as hyper delivers them. The values of a repeated header are joined.
    fn headers(&self) -> Map<String, Value> {
        let sent = &self.request.headers;
        let mut headers: BTreeMap<&str, String> = BTreeMap::new();
        for name in sent.keys() {
            if name != COOKIE && !CONNECTION_HEADERS.contains(&name.as_str()) {
                let values: Vec<_> = sent.get_all(name).iter().map(text).collect();
                headers.insert(name.as_str(), values.join(","));
            }
        }
        let forwarded_for = match headers.get("x-forwarded-for") {
            Some(sent) => format!("{sent}, {}", self.peer),
            None => self.peer.to_string(),
        };
        headers.insert("x-forwarded-for", forwarded_for);
        headers.insert("x-forwarded-port", self.port.to_string());
        headers.insert("x-forwarded-proto", "http".to_owned());
        headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect()
    }

    fn cookies(&self) -> Vec<String> {
        let sent = self.request.headers.get_all(COOKIE).iter();
        sent.flat_map(|value| {
            let cookies: Vec<_> = text(value)
                .split(';')
                .map(|cookie| cookie.trim().to_owned())
                .collect();
            cookies
        })
        .filter(|cookie| !cookie.is_empty())
        .collect()
    }

    fn path(&self) -> String {
        percent_decode_str(self.request.uri.path())
            .decode_utf8_lossy()
            .into_owned()
    }

    fn header(&self, name: &HeaderName) -> String {
        self.request.headers.get(name).map(text).unwrap_or_default()
    }
}

/// JSON carries text only, so bytes that are not UTF-8 are replaced.
fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn query_parameters(query: &str) -> Value {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        parameters
            .entry(name.into_owned())
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert_with(|| value.to_string());
    }
    json!(parameters)
}

fn is_text(content_type: Option<&HeaderValue>) -> bool {
    let content_type = content_type.map(text).unwrap_or_default();
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence.starts_with("text/") || TEXT_TYPES.contains(&essence.as_str())
}

/// For example `12/Mar/2020:19:03:58 +0000`.
fn common_log_time(moment: Timestamp) -> String {
    let format =
        format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    OffsetDateTime::from_unix_timestamp(moment.as_secs())
        .ok()
        .and_then(|moment| moment.format(format).ok())
        .unwrap_or_default()
}
