//! Alarms and dashboard use metrics that the code counts: an alarm on a misspelled metric would
//! never go off.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shared::metrics::{CODE, Metric, NAMESPACE_DEFAULT, SERVICE};
use tests::metrics::{key, unit};
use tests::template::{Template, each};

#[test]
fn alarms_use_metrics_that_the_code_counts() {
    let template = Template::read();
    let mut used = Vec::new();
    for (alarm, _) in template.resources("AWS::CloudWatch::Alarm") {
        for metric in own_metrics(template.resource(alarm)) {
            let name = metric["MetricName"].as_str().unwrap();
            let mut dimensions = dimensions(metric);
            assert!(dimensions.remove(SERVICE).is_some(), "{alarm}");
            // It panics when the code counts no such metric.
            let _ = unit(name, &dimensions);
            used.push((name.to_owned(), dimensions));
        }
    }
    let unavailable = Metric::TargetError("TARGET_UNAVAILABLE");
    assert!(used.contains(&key(unavailable)), "{used:?}");
}

#[test]
fn the_dashboard_shows_metrics_that_the_code_counts() {
    let counted: BTreeSet<_> = Metric::ALL
        .map(|metric| {
            let (name, dimensions) = key(metric);
            let service = SERVICE.to_owned();
            let dimensions: BTreeSet<_> = dimensions.into_keys().chain([service]).collect();
            (name, dimensions)
        })
        .into();
    let template = Template::read();
    let body = template.resource("Dashboard")["DashboardBody"]["Fn::Sub"].as_str();
    let body: Value = serde_json::from_str(body.unwrap()).unwrap();
    let mut shown = BTreeSet::new();
    for widget in each(&body["widgets"]) {
        let metrics = widget["properties"]["metrics"].as_array();
        let metrics = metrics.into_iter().flatten().map(each);
        shown.extend(metrics.filter_map(|metric| listed(metric).or_else(|| searched(metric))));
    }
    let unknown: Vec<_> = shown.difference(&counted).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let codes = BTreeSet::from([SERVICE, CODE].map(str::to_owned));
    assert!(
        shown.contains(&("TargetErrors".to_owned(), codes)),
        "{shown:?}"
    );
}

/// The metrics of the code's namespace in an alarm, by itself or in an expression.
fn own_metrics(alarm: &Value) -> Vec<&Value> {
    let parts = alarm["Metrics"].as_array().into_iter().flatten();
    let parts = parts.map(|part| &part["MetricStat"]["Metric"]);
    std::iter::once(alarm)
        .chain(parts)
        .filter(|metric| metric["Namespace"] == NAMESPACE_DEFAULT)
        .collect()
}

/// A metric's dimensions. A value that is known only after a deployment is its reference.
fn dimensions(metric: &Value) -> BTreeMap<String, String> {
    let dimensions = each(&metric["Dimensions"]).iter();
    dimensions
        .map(|dimension| {
            let name = dimension["Name"].as_str().unwrap().to_owned();
            let value = &dimension["Value"];
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (name, value)
        })
        .collect()
}

/// Name and dimensions of a widget's metric: namespace, name, dimensions with their values, and
/// options.
fn listed(metric: &[Value]) -> Option<(String, BTreeSet<String>)> {
    let [namespace, name, rest @ ..] = metric else {
        return None;
    };
    if namespace != NAMESPACE_DEFAULT {
        return None;
    }
    let dimensions = rest.iter().step_by(2).filter_map(Value::as_str);
    let dimensions = dimensions.map(str::to_owned).collect();
    Some((name.as_str()?.to_owned(), dimensions))
}

/// Name and dimensions of the metrics that an expression searches for: `{Ferry,service,…} …
/// MetricName="…"`.
fn searched(metric: &[Value]) -> Option<(String, BTreeSet<String>)> {
    let expression = metric[0]["expression"].as_str()?;
    let (_, search) = expression.split_once("SEARCH('{")?;
    let (schema, rest) = search.split_once('}')?;
    let (_, name) = rest.split_once("MetricName=\"")?;
    let (name, _) = name.split_once('"')?;
    let dimensions = schema.strip_prefix(NAMESPACE_DEFAULT)?.strip_prefix(',')?;
    let dimensions = dimensions.split(',').map(str::to_owned).collect();
    Some((name.to_owned(), dimensions))
}
