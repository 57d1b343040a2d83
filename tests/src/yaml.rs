//! YAML as JSON, with `CloudFormation`'s short forms (`!Ref`) expanded (`{"Ref": …}`).

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Value, json};

/// Reads a file with one document.
#[must_use]
pub fn read(text: &str) -> Value {
    let documents = Yaml::load_from_str(text).unwrap();
    assert_eq!(documents.len(), 1);
    to_json(&documents[0])
}

fn to_json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(boolean)) => json!(boolean),
        Yaml::Value(Scalar::Integer(integer)) => json!(integer),
        Yaml::Value(Scalar::FloatingPoint(float)) => json!(float.into_inner()),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(entries) => entries.iter().map(to_json).collect(),
        Yaml::Mapping(entries) => entries
            .iter()
            .map(|(name, value)| (name.as_str().unwrap().to_owned(), to_json(value)))
            .collect(),
        Yaml::Tagged(tag, value) => {
            let name = match tag.suffix.as_str() {
                "Ref" => "Ref".to_owned(),
                function => format!("Fn::{function}"),
            };
            json!({ name: to_json(value) })
        }
        // CloudFormation does not support aliases, and some readers of OpenAPI do not either.
        other => panic!("{other:?} is not allowed"),
    }
}
