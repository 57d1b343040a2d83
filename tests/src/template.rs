//! The template as JSON.

use serde_json::{Map, Value};

use crate::yaml;

const SOURCE: &str = include_str!("../../infra/template.yaml");

pub struct Template(Value);

impl Template {
    #[must_use]
    pub fn read() -> Self {
        Self(yaml::read(SOURCE))
    }

    /// A section's entries by their logical names.
    #[must_use]
    pub fn section(&self, name: &str) -> &Map<String, Value> {
        self.0[name].as_object().unwrap()
    }

    /// The settings of all functions.
    #[must_use]
    pub fn globals(&self) -> &Value {
        &self.0["Globals"]["Function"]
    }

    /// A resource's properties.
    #[must_use]
    pub fn resource(&self, name: &str) -> &Value {
        let resource = self.section("Resources").get(name);
        &resource.unwrap_or_else(|| panic!("no resource {name}"))["Properties"]
    }

    /// Names and properties of all resources of a type.
    #[must_use]
    pub fn resources(&self, kind: &str) -> Vec<(&str, &Value)> {
        self.section("Resources")
            .iter()
            .filter(|(_, resource)| resource["Type"] == kind)
            .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
            .collect()
    }

    /// A function's events of a type, with their properties.
    #[must_use]
    pub fn events(&self, function: &str, kind: &str) -> Vec<&Value> {
        let events = self.resource(function)["Events"].as_object();
        events
            .into_iter()
            .flat_map(Map::values)
            .filter(|event| event["Type"] == kind)
            .map(|event| &event["Properties"])
            .collect()
    }

    /// A parameter's declaration.
    #[must_use]
    pub fn parameter(&self, name: &str) -> &Value {
        let parameter = self.section("Parameters").get(name);
        parameter.unwrap_or_else(|| panic!("no parameter {name}"))
    }

    /// A value, or the default of the parameter that it refers to.
    #[must_use]
    pub fn default_of<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["Ref"].as_str() {
            Some(name) => &self.parameter(name)["Default"],
            None => value,
        }
    }

    /// A whole number, literal or by default.
    #[must_use]
    pub fn number(&self, value: &Value) -> u32 {
        let number = self.default_of(value).as_u64();
        number
            .and_then(|number| number.try_into().ok())
            .unwrap_or_else(|| panic!("{value} is not a number"))
    }
}

/// The logical name in `!GetAtt NAME.Arn`.
#[must_use]
pub fn arn_of(value: &Value) -> &str {
    let attribute = value["Fn::GetAtt"].as_str();
    let name = attribute.and_then(|attribute| attribute.strip_suffix(".Arn"));
    name.unwrap_or_else(|| panic!("{value} is not the ARN of a resource in the template"))
}

/// A single value or a list, as a list.
#[must_use]
pub fn each(value: &Value) -> &[Value] {
    value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice)
}
