//! Metrics: as handlers count them in this process, and as CloudWatch extracts them from a log.

use std::collections::{BTreeMap, BTreeSet};

use metrics::LocalRecorderGuard;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use serde_json::Value;
use shared::metrics::{CODE, FUNCTION, Metric, OUTCOME, SERVICE, TARGET_CODES, VERSION};

/// A metric's name, and its dimensions except the service.
pub type Key = (String, BTreeMap<String, String>);

/// The key of a metric.
#[must_use]
pub fn key(metric: Metric<'_>) -> Key {
    let function = metric.function().map(|name| (FUNCTION, name));
    let outcome = metric.outcome().map(|outcome| (OUTCOME, outcome));
    let version = metric.version().map(|version| (VERSION, version));
    let code = metric.code().map(|code| (CODE, code));
    let dimensions = function.into_iter().chain(outcome).chain(version);
    let dimensions = dimensions.chain(code);
    let dimensions = dimensions.map(|(name, value)| (name.to_owned(), value.to_owned()));
    (metric.name().to_owned(), dimensions.collect())
}

/// Counts the metrics of this thread until it is dropped.
pub struct Counted {
    snapshotter: Snapshotter,
    _guard: LocalRecorderGuard<'static>,
}

impl Counted {
    #[must_use]
    pub fn start() -> Self {
        // It lives as long as the guard, which is as long as a test.
        let recorder: &'static DebuggingRecorder = Box::leak(Box::default());
        Self {
            snapshotter: recorder.snapshotter(),
            _guard: metrics::set_default_local_recorder(recorder),
        }
    }

    /// The counts and the durations since the last call.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "times are whole milliseconds"
    )]
    pub fn take(&self) -> BTreeMap<Key, Vec<u64>> {
        let snapshot = self.snapshotter.snapshot().into_vec().into_iter();
        let counts = snapshot.filter_map(|(counted, _, _, value)| {
            let labels = counted.key().labels();
            let dimensions = labels.map(|label| (label.key().to_owned(), label.value().to_owned()));
            let values: Vec<u64> = match value {
                DebugValue::Counter(count) => [count].into_iter().filter(|n| *n > 0).collect(),
                DebugValue::Histogram(times) => times.iter().map(|time| time.0 as u64).collect(),
                DebugValue::Gauge(_) => panic!("there are no gauges"),
            };
            let key = (counted.key().name().to_owned(), dimensions.collect());
            (!values.is_empty()).then_some((key, values))
        });
        counts.collect()
    }
}

/// Sums the counts in the lines of a log, and counts the durations. Checks each line against
/// CloudWatch's format (Amazon CloudWatch User Guide, "Specification: Embedded metric format",
/// which has a JSON schema of a line) and against [`Metric::ALL`].
#[must_use]
pub fn read(lines: &[Value]) -> BTreeMap<Key, u64> {
    let mut metrics = BTreeMap::new();
    for (key, amount) in lines.iter().flat_map(read_line) {
        *metrics.entry(key).or_default() += amount;
    }
    metrics
}

/// The metrics of one line.
fn read_line(line: &Value) -> Vec<(Key, u64)> {
    let metadata = &line["_aws"];
    assert!(metadata["Timestamp"].as_u64().unwrap() > 1_600_000_000_000);
    let [directive] = metadata["CloudWatchMetrics"].as_array().unwrap().as_slice() else {
        panic!("{line}")
    };
    assert!(!directive["Namespace"].as_str().unwrap().is_empty());
    let sets: Vec<Vec<String>> = serde_json::from_value(directive["Dimensions"].clone()).unwrap();
    let [set] = sets.as_slice() else {
        panic!("{line}")
    };
    let value = |name: &String| (name.clone(), line[name].as_str().unwrap().to_owned());
    let mut dimensions: BTreeMap<String, String> = set.iter().map(value).collect();
    assert!(dimensions.values().all(|value| !value.is_empty()), "{line}");
    let mut expected = BTreeSet::from(["_aws".to_owned()]);
    expected.extend(dimensions.keys().cloned());
    assert!(dimensions.remove(SERVICE).is_some(), "{line}");
    let mut metrics = Vec::new();
    for metric in directive["Metrics"].as_array().unwrap() {
        let name = metric["Name"].as_str().unwrap();
        let unit = unit(name, &dimensions);
        assert_eq!(metric["Unit"], unit, "{name}");
        let amount = match &line[name] {
            Value::Array(times) => {
                assert!((1..=100).contains(&times.len()), "{line}");
                assert!(times.iter().all(Value::is_number), "{line}");
                times.len() as u64
            }
            count => count.as_u64().unwrap(),
        };
        expected.insert(name.to_owned());
        metrics.push(((name.to_owned(), dimensions.clone()), amount));
    }
    assert!(!metrics.is_empty(), "{line}");
    // No other members: they could be an owner or an id.
    let members: BTreeSet<_> = line.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, expected, "{line}");
    metrics
}

/// The unit of a metric with these dimensions, without the service.
///
/// # Panics
///
/// When the code counts no such metric.
#[must_use]
pub fn unit(name: &str, dimensions: &BTreeMap<String, String>) -> String {
    let is_it = |metric: &Metric<'_>| {
        metric.name() == name
            && metric.function().is_some() == dimensions.contains_key(FUNCTION)
            && metric.outcome() == dimensions.get(OUTCOME).map(String::as_str)
            && metric.version().is_some() == dimensions.contains_key(VERSION)
            && metric.code().is_some() == dimensions.contains_key(CODE)
    };
    let metric = Metric::ALL.into_iter().find(is_it);
    let metric = metric.unwrap_or_else(|| panic!("no metric {name} with {dimensions:?}"));
    let code = dimensions.get(CODE).map(String::as_str);
    assert!(
        code.is_none_or(|code| TARGET_CODES.contains(&code)),
        "{code:?}"
    );
    unit_name(metric)
}

/// The name of a metric's unit in CloudWatch (Amazon CloudWatch API Reference, `MetricDatum`).
#[must_use]
pub fn unit_name(metric: Metric<'_>) -> String {
    format!("{:?}", metric.unit())
}
