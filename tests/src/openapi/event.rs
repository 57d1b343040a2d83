//! Exchanges as API Gateway events and their responses.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Exchange;

impl Exchange {
    /// The request in an event (payload format 2.0), without a response.
    #[must_use]
    pub fn of_event(event: &Value) -> Self {
        let text = |pointer| {
            let value = event.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default()
        };
        let (path, query) = (text("/rawPath"), text("/rawQueryString"));
        let body = text("/body");
        Self {
            method: text("/requestContext/http/method").to_owned(),
            path: if query.is_empty() {
                path.to_owned()
            } else {
                format!("{path}?{query}")
            },
            request_headers: texts(&event["headers"]),
            request_body: match event["isBase64Encoded"] {
                Value::Bool(true) => STANDARD.decode(body).unwrap_or_default(),
                _ => body.as_bytes().to_vec(),
            },
            status: 0,
            headers: BTreeMap::new(),
            body: String::new(),
        }
    }

    /// Adds the function's response.
    #[must_use]
    pub fn with_response(self, response: &Value) -> Self {
        Self {
            status: u16::try_from(response["statusCode"].as_u64().unwrap()).unwrap(),
            headers: texts(&response["headers"]),
            body: response["body"].as_str().unwrap().to_owned(),
            ..self
        }
    }
}

fn texts(headers: &Value) -> BTreeMap<String, String> {
    let headers = headers.as_object().into_iter().flatten();
    headers
        .map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().to_owned()))
        .collect()
}
