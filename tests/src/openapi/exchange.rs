//! Checks a request and its response against the document.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;

use super::{Document, METHODS, Route, Side};

/// Headers of the connection and of the gateway, which the document does not describe.
const OF_THE_CONNECTION: [&str; 5] = [
    "apigw-requestid",
    "connection",
    "content-length",
    "content-type",
    "date",
];

/// Statuses that the gateway answers before it matches a route.
const GATEWAYS_FIRST: [u16; 2] = [401, 413];

#[derive(Debug, Clone)]
pub struct Exchange {
    /// In upper case.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub request_headers: BTreeMap<String, String>,
    pub request_body: Vec<u8>,
    pub status: u16,
    /// The response's, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The response's.
    pub body: String,
}

/// Groups exchanges that the document describes alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The operation, or the method and the path if the document has no such operation.
    pub route: Route,
    pub status: u16,
    /// The response's content type; empty if it has no body.
    pub media_type: String,
    /// The code of an error, else the status of an operation; empty if there is neither.
    pub word: String,
}

static KEPT: Mutex<BTreeMap<Key, Exchange>> = Mutex::new(BTreeMap::new());

/// The first exchange of each key in this process.
#[must_use]
pub fn kept() -> BTreeMap<Key, Exchange> {
    KEPT.lock().unwrap().clone()
}

/// Sends a request to Ferry and expects the exchange to be [documented](Exchange::is_documented).
pub async fn sent(client: &Client, request: RequestBuilder) -> (u16, HeaderMap, String) {
    let request = request.build().unwrap();
    let url = request.url();
    let mut exchange = Exchange {
        method: request.method().to_string(),
        path: url.as_str()[url.origin().ascii_serialization().len()..].to_owned(),
        request_headers: texts(request.headers()),
        request_body: request
            .body()
            .and_then(reqwest::Body::as_bytes)
            .map_or_else(Vec::new, <[u8]>::to_vec),
        status: 0,
        headers: BTreeMap::new(),
        body: String::new(),
    };
    let response = client.execute(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.text().await.unwrap();
    exchange.status = status;
    exchange.headers = texts(&headers);
    exchange.body.clone_from(&body);
    exchange.is_documented();
    (status, headers, body)
}

pub(crate) fn texts(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.to_string(), value.into_owned())
        })
        .collect()
}

impl Exchange {
    /// Expects that the document describes it.
    #[track_caller]
    pub fn is_documented(self) {
        let document = Document::of_ferry();
        let faults = document.exchange_faults(&self);
        let request = String::from_utf8_lossy(&self.request_body);
        assert!(
            faults.is_empty(),
            "infra/openapi.yaml is wrong about {} {}:\n  {}\nrequest {:?} {}\nanswer  {} {:?} {}",
            self.method,
            self.path,
            faults.join("\n  "),
            self.request_headers,
            request.chars().take(2000).collect::<String>(),
            self.status,
            self.headers,
            self.body.chars().take(5000).collect::<String>(),
        );
        let key = self.key(document);
        KEPT.lock().unwrap().entry(key).or_insert(self);
    }

    fn key(&self, document: &Document) -> Key {
        let json = self.json();
        let word = [&json["code"], &json["status"], &json["errors"][0]["code"]]
            .into_iter()
            .find_map(Value::as_str);
        Key {
            route: document.route_of(self).unwrap_or_else(|| Route {
                method: self.method.clone(),
                path: self.raw_path().to_owned(),
            }),
            status: self.status,
            media_type: if self.body.is_empty() {
                String::new()
            } else {
                self.media_type().to_owned()
            },
            word: word.unwrap_or_default().to_owned(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    fn raw_path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    fn media_type(&self) -> &str {
        self.headers.get("content-type").map_or("", String::as_str)
    }

    /// Whether the gateway answered, and not Ferry.
    fn is_the_gateways(&self) -> bool {
        let json = self.json();
        json.as_object()
            .is_some_and(|members| members.keys().eq(["message"]))
    }
}

impl Document {
    /// Where an exchange differs from the document.
    #[must_use]
    pub fn exchange_faults(&self, exchange: &Exchange) -> Vec<String> {
        let Some(route) = self.route_of(exchange) else {
            return self.unknown_path_faults(exchange);
        };
        let Some(operation) = self.operation(&route) else {
            return self.other_method_faults(exchange, &route);
        };
        let status = exchange.status.to_string();
        let response = self
            .member(&operation, "responses")
            .and_then(|responses| self.member(&responses, &status));
        let mut faults = match response {
            Some(response) => self.response_faults(exchange, &response),
            None => vec![format!("{operation} has no response {status}")],
        };
        if (200..300).contains(&exchange.status) {
            faults.extend(self.request_faults(exchange, &route, &operation));
        }
        faults
    }

    /// The path that an exchange matches, with the exchange's method, which the path may not have.
    fn route_of(&self, exchange: &Exchange) -> Option<Route> {
        let path = self.json["paths"].as_object()?.keys().find(|path| {
            let (templates, segments) = (path.split('/'), exchange.raw_path().split('/'));
            templates.clone().count() == segments.clone().count()
                && templates.zip(segments).all(|(template, segment)| {
                    template == segment || (template.starts_with('{') && !segment.is_empty())
                })
        })?;
        let method = match exchange.method.as_str() {
            "HEAD" => "GET",
            method => method,
        };
        Some(Route {
            method: method.to_owned(),
            path: path.clone(),
        })
    }

    fn unknown_path_faults(&self, exchange: &Exchange) -> Vec<String> {
        let schema = "/components/schemas/GatewayError";
        let mut faults = self.schema_faults(Side::Theirs, schema, &exchange.json());
        if exchange.status != 404 {
            faults.push(format!("no path {} is documented", exchange.raw_path()));
        }
        faults
    }

    /// Checks the response to a method that the path does not have. `Allow` must name exactly those
    /// that it has.
    fn other_method_faults(&self, exchange: &Exchange, route: &Route) -> Vec<String> {
        if exchange.is_the_gateways() && GATEWAYS_FIRST.contains(&exchange.status) {
            return Vec::new();
        }
        let item = self.member("/paths", &route.path).unwrap_or_default();
        let Some(response) = self.member(&item, "x-other-methods") else {
            return vec![format!("{item} does not say what other methods get")];
        };
        let mut faults = self.response_faults(exchange, &response);
        let mut methods: BTreeSet<String> = METHODS
            .into_iter()
            .filter(|method| self.member(&item, method).is_some())
            .map(str::to_uppercase)
            .collect();
        if methods.contains("GET") {
            methods.insert("HEAD".to_owned());
        }
        let allowed = exchange.headers.get("allow").map_or("", String::as_str);
        let allowed = allowed.split(", ").map(str::to_owned).collect();
        if exchange.status != 405 || methods != allowed {
            faults.push(format!(
                "{item} has {methods:?}, and Allow says {allowed:?}"
            ));
        }
        faults
    }

    fn response_faults(&self, exchange: &Exchange, response: &str) -> Vec<String> {
        let mut faults = self.header_faults(exchange, response);
        let media_type = exchange.media_type();
        let Some(content) = self.member(response, "content") else {
            if !media_type.is_empty() || !exchange.body.is_empty() {
                faults.push(format!("{response} has no content"));
            }
            return faults;
        };
        let Some(media) = self.member(&content, media_type) else {
            faults.push(format!("{content} has nothing of type {media_type:?}"));
            return faults;
        };
        if exchange.method == "HEAD" && exchange.body.is_empty() {
            return faults;
        }
        // Where both can answer, the problem's schema allows the gateway's body as well: some
        // generators read one type of body for each status.
        if exchange.is_the_gateways() && media_type != "application/json" {
            faults.push(format!("{media} is not the gateway's"));
        }
        faults.extend(self.body_faults(Side::Ours, &media, exchange.body.as_bytes()));
        faults
    }

    fn body_faults(&self, side: Side, media: &str, body: &[u8]) -> Vec<String> {
        match serde_json::from_slice(body) {
            Ok(body) => self.schema_faults(side, &format!("{media}/schema"), &body),
            // Ferry passes numbers on that no double can hold, and serde_json cannot parse those.
            Err(error) if error.to_string().starts_with("number out of range") => Vec::new(),
            Err(error) => vec![format!("{media}: not JSON: {error}")],
        }
    }

    fn header_faults(&self, exchange: &Exchange, response: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let headers = format!("{response}/headers");
        let mut documented = BTreeSet::new();
        for name in self
            .at(&headers)
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys())
        {
            let lower = name.to_lowercase();
            let object = self.member(&headers, name).unwrap_or_default();
            match exchange.headers.get(&lower) {
                Some(text) => faults.extend(self.text_faults(&object, text)),
                None if self.at(&object)["required"] == true => {
                    faults.push(format!("{object}: there is no {name}"));
                }
                None => {}
            }
            documented.insert(lower);
        }
        // The document cannot require the header everywhere, because the gateway's responses do not
        // have it.
        if !exchange.is_the_gateways() && !exchange.headers.contains_key("request-id") {
            faults.push(format!("{response}: Ferry answers without Request-Id"));
        }
        let undocumented = exchange.headers.keys().filter(|name| {
            !documented.contains(*name) && !OF_THE_CONNECTION.contains(&name.as_str())
        });
        faults.extend(undocumented.map(|name| format!("{headers} has no {name}")));
        faults
    }

    /// Where a request that Ferry accepted differs from the document.
    fn request_faults(&self, exchange: &Exchange, route: &Route, operation: &str) -> Vec<String> {
        let item = self.member("/paths", &route.path).unwrap_or_default();
        let mut faults = self.parameter_faults(exchange, route, &item);
        faults.extend(self.parameter_faults(exchange, route, operation));
        let is_sent =
            |body: &String| self.at(body)["required"] == true || !exchange.request_body.is_empty();
        if let Some(body) = self.member(operation, "requestBody").filter(is_sent) {
            let media = format!("{body}/content/application~1json");
            faults.extend(self.body_faults(Side::Theirs, &media, &exchange.request_body));
        }
        faults
    }

    fn parameter_faults(&self, exchange: &Exchange, route: &Route, holder: &str) -> Vec<String> {
        let parameters = format!("{holder}/parameters");
        let count = self.at(&parameters).as_array().map_or(0, Vec::len);
        let url = Url::parse(&format!("http://localhost{}", exchange.path)).unwrap();
        let mut faults = Vec::new();
        for index in 0..count {
            let object = self.member(&parameters, &index.to_string()).unwrap();
            let parameter = self.at(&object);
            let name = parameter["name"].as_str().unwrap();
            let sent = match parameter["in"].as_str().unwrap() {
                "path" => route
                    .path
                    .split('/')
                    .zip(exchange.raw_path().split('/'))
                    .find(|(template, _)| *template == format!("{{{name}}}"))
                    .map(|(_, segment)| segment.to_owned()),
                "query" => url
                    .query_pairs()
                    .find(|(sent, _)| sent == name)
                    .map(|(_, value)| value.into_owned()),
                "header" => exchange.request_headers.get(&name.to_lowercase()).cloned(),
                other => panic!("{object} is in {other}"),
            };
            if let Some(sent) = sent {
                faults.extend(self.text_faults(&object, sent.trim()));
            }
        }
        faults
    }
}
