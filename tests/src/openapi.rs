//! Checks what Ferry answers and posts against `infra/openapi.yaml`. Every test that calls Ferry
//! submits each [`Exchange`], so all stories together test the document. Nothing else would notice
//! a wrong document before its readers' programs fail.
//!
//! The document leaves responses open, since they may gain members and codes. A response that
//! gained them would still match an open document, so responses are checked against a
//! [closed](Side::Ours) copy, which allows only what it names.

mod callback;
mod event;
mod exchange;
mod schema;

use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;
use shared::domain::json::push_token;

pub use self::callback::{Delivered, delivered_events};
pub(crate) use self::exchange::texts;
pub use self::exchange::{Exchange, Key, kept, sent};
pub use self::schema::{EXTENSIBLE, Side};
use self::schema::{Validators, closed};
use crate::yaml;

const SOURCE: &str = include_str!("../../infra/openapi.yaml");

/// The methods that a path item can have. `HEAD` is part of `get`.
pub const METHODS: [&str; 3] = ["delete", "get", "post"];

/// An `OpenAPI` document with its validators.
pub struct Document {
    json: Value,
    closed: Value,
    validators: Mutex<Validators>,
}

/// An operation of the document, as the `OpenAPI` specification defines it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// In upper case.
    pub method: String,
    /// With its variables, such as `/operations/{id}`.
    pub path: String,
}

impl Document {
    #[must_use]
    pub fn of_ferry() -> &'static Self {
        static OF_FERRY: LazyLock<Document> = LazyLock::new(|| Document::new(yaml::read(SOURCE)));
        &OF_FERRY
    }

    #[must_use]
    pub fn new(json: Value) -> Self {
        let closed = closed(&json);
        Self {
            json,
            closed,
            validators: Mutex::default(),
        }
    }

    #[must_use]
    pub const fn json(&self) -> &Value {
        &self.json
    }

    /// The value at an RFC 6901 pointer; null if there is none.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        self.json.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The pointer to a member, with references resolved. `None` if the member or its target is
    /// missing.
    #[must_use]
    pub fn member(&self, pointer: &str, name: &str) -> Option<String> {
        let mut member = pointer.to_owned();
        push_token(&mut member, name);
        while let Some(target) = self.json.pointer(&member)?["$ref"].as_str() {
            member = target.strip_prefix('#')?.to_owned();
        }
        Some(member)
    }

    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        let paths = self.json["paths"].as_object().unwrap();
        paths
            .iter()
            .flat_map(|(path, item)| {
                METHODS.into_iter().filter_map(|method| {
                    item.get(method)?;
                    Some(Route {
                        method: method.to_uppercase(),
                        path: path.clone(),
                    })
                })
            })
            .collect()
    }

    /// The pointer to an operation; `None` if the document does not have it.
    #[must_use]
    pub fn operation(&self, route: &Route) -> Option<String> {
        let item = self.member("/paths", &route.path)?;
        self.member(&item, &route.method.to_lowercase())
    }

    /// What violates the schema at a pointer.
    #[must_use]
    pub fn schema_faults(&self, side: Side, schema: &str, value: &Value) -> Vec<String> {
        let whole = match side {
            Side::Ours => &self.closed,
            Side::Theirs => &self.json,
        };
        let validator = self
            .validators
            .lock()
            .unwrap()
            .entry((side, schema.to_owned()))
            .or_insert_with(|| Arc::new(schema::validator(whole, schema)))
            .clone();
        validator
            .iter_errors(value)
            .flat_map(|error| schema::causes(&error))
            .map(|cause| format!("{schema}: {cause}"))
            .collect()
    }

    /// What violates the schema of a header or parameter object at a pointer.
    fn text_faults(&self, object: &str, text: &str) -> Vec<String> {
        let schema = format!("{object}/schema");
        // Only digits: `parse` would accept `+5` as well.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let value = match (self.at(&schema)["type"].as_str(), text.parse::<u64>()) {
            (Some("integer"), Ok(number)) if digits => Value::from(number),
            // As `style: form` without `explode` has it.
            (Some("array"), _) => text.split(',').map(Value::from).collect(),
            _ => Value::from(text),
        };
        self.schema_faults(Side::Theirs, &schema, &value)
    }
}
