//! Checks callbacks against the document's webhooks.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;

use super::{Document, Side};

/// A callback as its receiver gets it.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

static KEPT: Mutex<BTreeMap<String, Delivered>> = Mutex::new(BTreeMap::new());

/// The first callback of each type that a receiver in this process got, by type. Those that omit
/// the result count as a separate type.
#[must_use]
pub fn delivered_events() -> BTreeMap<String, Delivered> {
    KEPT.lock().unwrap().clone()
}

impl Delivered {
    /// Where the callback differs from the document.
    #[must_use]
    pub fn faults(self) -> Vec<String> {
        let faults = Document::of_ferry().callback_faults(&self);
        if faults.is_empty() {
            let json = self.json();
            let mut kind = json["type"].as_str().unwrap_or_default().to_owned();
            if json["data"].get("result_omitted").is_some() {
                kind.push_str(" without result");
            }
            KEPT.lock().unwrap().entry(kind).or_insert(self);
        }
        faults
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl Document {
    /// Where a callback differs from the document.
    #[must_use]
    pub fn callback_faults(&self, delivered: &Delivered) -> Vec<String> {
        let body = delivered.json();
        let kind = body["type"].as_str().unwrap_or_default();
        let Some(post) = self
            .member("/webhooks", kind)
            .and_then(|item| self.member(&item, "post"))
        else {
            return vec![format!("no webhook is called {kind:?}")];
        };
        let schema = format!("{post}/requestBody/content/application~1json/schema");
        let mut faults = self.schema_faults(Side::Ours, &schema, &body);
        let content_type = delivered.headers.get("content-type").map(String::as_str);
        if content_type != Some("application/json") {
            faults.push(format!("{post} has nothing of type {content_type:?}"));
        }
        let parameters = format!("{post}/parameters");
        let count = self.at(&parameters).as_array().map_or(0, Vec::len);
        for index in 0..count {
            let object = self.member(&parameters, &index.to_string()).unwrap();
            let name = self.at(&object)["name"].as_str().unwrap();
            match delivered.headers.get(name) {
                Some(text) => faults.extend(self.text_faults(&object, text)),
                None => faults.push(format!("{object}: there is no {name}")),
            }
        }
        faults
    }
}
