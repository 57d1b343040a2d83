//! Metrics, read as CloudWatch reads them.
//!
//! From Amazon CloudWatch User Guide, "Specification: Embedded metric format", which has a JSON schema of what a line must be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shared::metrics::Metric;

/// What was told of each metric, by its name and the function that it was told of, empty for none: the sum of counts, and how many
/// times there were.
pub type Told = BTreeMap<(String, String), u64>;

/// Reads lines, and holds each to the format and to the metrics that there are.
#[must_use]
pub fn told(lines: &[String]) -> Told {
    let mut told = Told::new();
    for line in lines {
        let document: Value = serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap();
        assert!(!line.trim_end().contains('\n'), "{line}");
        for (name, amount) in read(&document) {
            let function = definition(&name)
                .function()
                .and(document["function"].as_str());
            let key = (name, function.unwrap_or_default().to_owned());
            *told.entry(key).or_default() += amount;
        }
    }
    told
}

/// The metrics of one line.
fn read(document: &Value) -> Vec<(String, u64)> {
    let members: BTreeSet<_> = document.as_object().unwrap().keys().cloned().collect();
    let mut expected = BTreeSet::from(["_aws".to_owned(), "service".to_owned()]);
    let metadata = &document["_aws"];
    assert!(metadata["Timestamp"].as_u64().unwrap() > 1_600_000_000_000);
    let mut metrics = Vec::new();
    for directive in metadata["CloudWatchMetrics"].as_array().unwrap() {
        assert!(!directive["Namespace"].as_str().unwrap().is_empty());
        let dimensions = strings(&directive["Dimensions"]);
        for name in dimensions.iter().flatten() {
            assert!(!document[name].as_str().unwrap().is_empty(), "{document}");
            expected.insert(name.clone());
        }
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = metric["Name"].as_str().unwrap();
            let definition = definition(name);
            assert_eq!(metric["Unit"], definition.unit(), "{name}");
            assert_eq!(dimensions, sets(definition), "{name}");
            let amount = match &document[name] {
                Value::Array(times) => {
                    assert!((1..=100).contains(&times.len()));
                    assert!(times.iter().all(Value::is_u64), "{document}");
                    times.len() as u64
                }
                count => count.as_u64().unwrap(),
            };
            expected.insert(name.to_owned());
            metrics.push((name.to_owned(), amount));
        }
    }
    assert!(!metrics.is_empty(), "{document}");
    // Nothing else: what is not a metric or a dimension could be an owner or an id.
    assert_eq!(members, expected, "{document}");
    metrics
}

/// The sets of dimensions of a metric.
#[must_use]
pub fn sets(metric: Metric<'_>) -> Vec<Vec<String>> {
    let service = || "service".to_owned();
    match metric.function() {
        None => vec![vec![service()]],
        Some(_) => vec![vec![service()], vec![service(), "function".to_owned()]],
    }
}

fn definition(name: &str) -> Metric<'static> {
    let mut all = Metric::ALL.into_iter();
    all.find(|metric| metric.name() == name)
        .unwrap_or_else(|| panic!("there is no metric {name}"))
}

fn strings(sets: &Value) -> Vec<Vec<String>> {
    serde_json::from_value(sets.clone()).unwrap()
}
