//! Whatever the file: a reported place is where the named value begins, and a valid file is one
//! that the functions start with.

use operator::check::{Check, Finding, Severity};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::catalogue::file::load;
use shared::config::Environment;
use shared::domain::limits::WORKER_TIMEOUT_SECS_DEFAULT;

use super::{Directory, VALID};

/// The text from where a finding is.
fn rest<'a>(text: &'a str, finding: &Finding) -> &'a str {
    let lines = text.split_inclusive('\n').take(finding.position.line - 1);
    let line = lines.map(str::len).sum::<usize>();
    let before = text[line..].chars().take(finding.position.column - 1);
    let before: String = before.collect();
    assert!(!before.contains('\n'), "{finding:?}");
    assert_eq!(
        before.chars().count(),
        finding.position.column - 1,
        "{finding:?}"
    );
    &text[line + before.len()..]
}

/// The value at a pointer, or else the innermost one around it.
fn value<'a>(root: &'a Value, pointer: &str) -> &'a Value {
    let ends = pointer.match_indices('/').map(|(end, _)| end);
    let pointers = ends.chain([pointer.len()]).map(|end| &pointer[..end]);
    let found = pointers.map_while(|pointer| root.pointer(pointer));
    found.last().unwrap()
}

fn assert_places(text: &str) {
    let mut check = Check::new(text, WORKER_TIMEOUT_SECS_DEFAULT);
    check.report_unqualified(Severity::Warning);
    let Ok(root) = serde_json::from_str::<Value>(text) else {
        assert!(check.count(Severity::Error) > 0);
        for finding in check.findings() {
            rest(text, finding);
        }
        return;
    };
    for finding in check.findings() {
        let mut values = serde_json::Deserializer::from_str(rest(text, finding)).into_iter();
        let found: Value = values.next().unwrap().unwrap();
        assert_eq!(&found, value(&root, &finding.pointer), "{finding:?}");
    }
}

fn assert_loads_if_valid(directory: &Directory, text: &str) {
    let path = directory.0.join("functions.json");
    std::fs::write(&path, text).unwrap();
    let environment = Environment::from_iter([("FUNCTIONS_FILE", path.to_str().unwrap())]);
    let loaded = load(&environment, WORKER_TIMEOUT_SECS_DEFAULT);
    let is_valid = Check::new(text, WORKER_TIMEOUT_SECS_DEFAULT).count(Severity::Error) == 0;
    assert!(!is_valid || loaded.is_ok(), "{loaded:?}");
}

/// Pointers to all values of a document.
fn pointers(value: &Value, pointer: &str, found: &mut Vec<String>) {
    found.push(pointer.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(value, &format!("{pointer}/{name}"), found);
            }
        }
        Value::Array(elements) => {
            for (index, value) in elements.iter().enumerate() {
                pointers(value, &format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// [`VALID`] with members that have more to go wrong.
fn document() -> Value {
    let mut document: Value = serde_json::from_str(VALID).unwrap();
    document["functions"][0]["arguments_schema"] = json!({
        "type": "object",
        "properties": {"größe/~": {"type": "string", "pattern": "^ü+$", "minLength": 1}},
        "required": ["größe/~"],
    });
    document["functions"][1]["target"]["local"] = json!({"command": ["画像"]});
    document["functions"][1]["retry"] = json!({"first_seconds": 1});
    document
}

proptest! {
    #[test]
    fn a_place_begins_the_value_that_is_wrong(
        index in any::<prop::sample::Index>(),
        other in prop::sample::select(vec![
            json!(null), json!(-1), json!(1e9), json!("é\u{1f980}"), json!(""), json!([]), json!([1]),
            json!({}), json!({"größe/~": "x"}), json!({"$ref": "#/none"}),
        ]),
        pretty: bool,
    ) {
        let mut document = document();
        let mut all = Vec::new();
        pointers(&document, "", &mut all);
        *document.pointer_mut(index.get(&all).as_str()).unwrap() = other;
        let text = if pretty {
            serde_json::to_string_pretty(&document).unwrap().replace('\n', "\r\n")
        } else {
            document.to_string()
        };
        assert_places(&text);
        assert_loads_if_valid(&Directory::new("values"), &text);
    }

    #[test]
    fn a_place_lies_in_any_text(
        index in any::<prop::sample::Index>(),
        replacement in "[\\[\\]{}:,\"a0é$/~ \n.-]{0,3}",
    ) {
        let mut text: Vec<_> = document().to_string().chars().collect();
        let at = index.index(text.len());
        text.splice(at..=at, replacement.chars());
        let text: String = text.into_iter().collect();
        assert_places(&text);
        assert_loads_if_valid(&Directory::new("texts"), &text);
    }
}

#[test]
fn a_member_that_is_given_twice_is_reported_where_the_second_begins() {
    for name in ["format", "name", "lambda", "minLength"] {
        let text = document().to_string();
        let member = format!("\"{name}\":");
        let text = text.replacen(&member, &format!("{member}\"1\",{member}"), 1);
        let check = Check::new(&text, WORKER_TIMEOUT_SECS_DEFAULT);
        let [finding] = check.findings()[..] else {
            panic!("{:?}", check.findings());
        };
        assert_eq!(finding.detail, "is given more than once");
        let before = text.len() - rest(&text, finding).len();
        assert_eq!(text[..before].matches(&member).count(), 2, "{name}");
        assert!(text[..before].ends_with(&member), "{name}");
    }
}
