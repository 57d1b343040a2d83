//! Metrics, as lines of CloudWatch's embedded metric format on standard output.
//!
//! CloudWatch takes them out of the log by itself, so that they cost no call and no time (Amazon CloudWatch User Guide,
//! "Specification: Embedded metric format"). An invocation's numbers are added up and written once, at its end; one that dies before
//! loses them, and nothing else may depend on them.
//!
//! A dimension's values are metrics of their own, each billed by the month: a service's and a function's name are dimensions, an
//! owner or an id never is. Outcomes are told apart by name, so that an alarm can stand on one.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::clock::Clock;
use crate::config::{Environment, SettingError};

/// Where the metrics go in CloudWatch, unless `METRICS_NAMESPACE` says otherwise.
pub const NAMESPACE_DEFAULT: &str = "Ferry";
/// The dimension that every metric has: the service's name.
pub const SERVICE: &str = "service";
/// The dimension of those that are told by function besides: the called function's name.
pub const FUNCTION: &str = "function";

const COUNT: &str = "Count";
const MILLISECONDS: &str = "Milliseconds";
/// As long as a stack's name. CloudWatch takes 255 characters for a namespace and 1,024 for a dimension's value.
const NAME_BYTES_MAX: usize = 128;
/// What the format allows for one metric in one line. A batch has ten messages at most, so that this is never met.
const VALUES_MAX: usize = 100;

/// What is counted or timed. With a name, it is told by function, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric<'a> {
    /// A submit made an operation.
    OperationsAccepted(&'a str),
    /// A submit met the operation that an earlier one made under its key.
    SubmitsReplayed(&'a str),
    /// A submit's key was used for another request.
    SubmitsConflicted(&'a str),
    /// An attempt's result was recorded.
    OperationsCompleted(&'a str),
    /// An attempt's errors were recorded, for good.
    OperationsFailed(&'a str),
    /// An owner cancelled an operation.
    OperationsCancelled(&'a str),
    /// An operation's attempts were used up, or its deadline passed, while nobody held it.
    OperationsGivenUp(&'a str),
    /// An attempt failed, and there is to be another.
    AttemptsRetried(&'a str),
    /// An attempt lost its operation to a cancel or another worker.
    AttemptsLost(&'a str),
    /// How long an operation waited from its creation to its first attempt.
    QueueTime(&'a str),
    /// How long an attempt's work took; not of one that lost its operation.
    WorkDuration(&'a str),
    /// A receiver took a callback.
    CallbacksDelivered,
    /// An attempt at a callback failed.
    CallbackAttemptsFailed,
    /// A receiver wants no more of a callback.
    CallbacksGone,
    /// A callback's last attempt failed.
    CallbacksExhausted,
    /// A write was refused because somebody else had been faster.
    RacesLost,
    /// A message without an operation was dropped: its submit died, or the operation is gone.
    PhantomMessagesDropped,
    /// A message that nobody can read was dropped.
    MalformedMessagesDropped,
}

impl<'a> Metric<'a> {
    /// All of them, with no function's name.
    pub const ALL: [Metric<'static>; 18] = [
        Metric::OperationsAccepted(""),
        Metric::SubmitsReplayed(""),
        Metric::SubmitsConflicted(""),
        Metric::OperationsCompleted(""),
        Metric::OperationsFailed(""),
        Metric::OperationsCancelled(""),
        Metric::OperationsGivenUp(""),
        Metric::AttemptsRetried(""),
        Metric::AttemptsLost(""),
        Metric::QueueTime(""),
        Metric::WorkDuration(""),
        Metric::CallbacksDelivered,
        Metric::CallbackAttemptsFailed,
        Metric::CallbacksGone,
        Metric::CallbacksExhausted,
        Metric::RacesLost,
        Metric::PhantomMessagesDropped,
        Metric::MalformedMessagesDropped,
    ];

    /// Its name in CloudWatch.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.parts().0
    }

    /// The function that it is told of; `None` when it is told for all together.
    #[must_use]
    pub const fn function(self) -> Option<&'a str> {
        self.parts().1
    }

    /// Its unit, as CloudWatch names it.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::QueueTime(_) | Self::WorkDuration(_) => MILLISECONDS,
            _ => COUNT,
        }
    }

    const fn parts(self) -> (&'static str, Option<&'a str>) {
        match self {
            Self::OperationsAccepted(of) => ("OperationsAccepted", Some(of)),
            Self::SubmitsReplayed(of) => ("SubmitsReplayed", Some(of)),
            Self::SubmitsConflicted(of) => ("SubmitsConflicted", Some(of)),
            Self::OperationsCompleted(of) => ("OperationsCompleted", Some(of)),
            Self::OperationsFailed(of) => ("OperationsFailed", Some(of)),
            Self::OperationsCancelled(of) => ("OperationsCancelled", Some(of)),
            Self::OperationsGivenUp(of) => ("OperationsGivenUp", Some(of)),
            Self::AttemptsRetried(of) => ("AttemptsRetried", Some(of)),
            Self::AttemptsLost(of) => ("AttemptsLost", Some(of)),
            Self::QueueTime(of) => ("QueueTime", Some(of)),
            Self::WorkDuration(of) => ("WorkDuration", Some(of)),
            Self::CallbacksDelivered => ("CallbacksDelivered", None),
            Self::CallbackAttemptsFailed => ("CallbackAttemptsFailed", None),
            Self::CallbacksGone => ("CallbacksGone", None),
            Self::CallbacksExhausted => ("CallbacksExhausted", None),
            Self::RacesLost => ("RacesLost", None),
            Self::PhantomMessagesDropped => ("PhantomMessagesDropped", None),
            Self::MalformedMessagesDropped => ("MalformedMessagesDropped", None),
        }
    }
}

/// The numbers of the invocation that is being served. One for a process; cheap to clone.
#[derive(Clone)]
pub struct Metrics(Option<Arc<Shared>>);

struct Shared {
    namespace: String,
    service: String,
    clock: Arc<dyn Clock>,
    write: Box<dyn Fn(&str) + Send + Sync>,
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    by_function: BTreeMap<String, Values>,
    others: Values,
}

type Values = BTreeMap<&'static str, Value>;

#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Count(u64),
    Millis(Vec<u64>),
}

/// A line.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "_aws")]
    metadata: Metadata<'a>,
    service: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
    #[serde(flatten)]
    values: BTreeMap<&'static str, &'a Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    /// Milliseconds since 1970.
    timestamp: i64,
    cloud_watch_metrics: Vec<Directive<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    /// Each set makes metrics of its own.
    dimensions: &'static [&'static [&'static str]],
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: &'static str,
}

impl Metrics {
    /// Metrics on standard output, in the namespace `METRICS_NAMESPACE`, of the service `SERVICE_NAME`. Without a service there are
    /// none.
    ///
    /// # Errors
    ///
    /// When a name has characters that it must not have.
    pub fn new(environment: &Environment, clock: Arc<dyn Clock>) -> Result<Self, SettingError> {
        Self::to(environment, clock, |line| {
            // In one piece, so that no other line gets into it. One that cannot be written is lost, as the log around it is.
            let _ = std::io::stdout().lock().write_all(line.as_bytes());
        })
    }

    /// The same, with the lines for `write`, each with its line feed.
    ///
    /// # Errors
    ///
    /// As [`Metrics::new`].
    pub fn to(
        environment: &Environment,
        clock: Arc<dyn Clock>,
        write: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, SettingError> {
        let namespace = name(environment, "METRICS_NAMESPACE")?.unwrap_or(NAMESPACE_DEFAULT);
        let shared = name(environment, "SERVICE_NAME")?.map(|service| Shared {
            namespace: namespace.to_owned(),
            service: service.to_owned(),
            clock,
            write: Box::new(write),
            gathered: Mutex::default(),
        });
        Ok(Self(shared.map(Arc::new)))
    }

    /// Counts one more.
    pub fn count(&self, metric: Metric<'_>) {
        self.gather(metric, 1);
    }

    /// Tells how long something took, to the millisecond.
    pub fn time(&self, metric: Metric<'_>, duration: Duration) {
        self.gather(
            metric,
            u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        );
    }

    /// Writes what was gathered, at the end of an invocation: one line, or one for each function when there were several in the
    /// batch, and none when nothing happened.
    pub fn flush(&self) {
        let Some(shared) = &self.0 else {
            return;
        };
        let Gathered {
            by_function,
            mut others,
        } = std::mem::take(&mut *shared.lock());
        for (function, values) in &by_function {
            shared.write(Some(function), values, &std::mem::take(&mut others));
        }
        if !others.is_empty() {
            shared.write(None, &Values::new(), &others);
        }
    }

    fn gather(&self, metric: Metric<'_>, amount: u64) {
        let Some(shared) = &self.0 else {
            return;
        };
        let mut gathered = shared.lock();
        let values = match metric.function() {
            Some(function) => gathered.by_function.entry(function.to_owned()).or_default(),
            None => &mut gathered.others,
        };
        let value = values.entry(metric.name()).or_insert(match metric.unit() {
            MILLISECONDS => Value::Millis(Vec::new()),
            _ => Value::Count(0),
        });
        match value {
            Value::Count(count) => *count += amount,
            Value::Millis(values) if values.len() < VALUES_MAX => values.push(amount),
            Value::Millis(_) => {}
        }
    }
}

impl Shared {
    fn write(&self, function: Option<&str>, by_function: &Values, others: &Values) {
        let directive = |dimensions, values: &Values| Directive {
            namespace: &self.namespace,
            dimensions,
            metrics: values.iter().map(Definition::of).collect(),
        };
        let mut directives = Vec::new();
        if !by_function.is_empty() {
            directives.push(directive(&[&[SERVICE], &[SERVICE, FUNCTION]], by_function));
        }
        if !others.is_empty() {
            directives.push(directive(&[&[SERVICE]], others));
        }
        let document = Document {
            metadata: Metadata {
                timestamp: self.clock.now().as_millis(),
                cloud_watch_metrics: directives,
            },
            service: &self.service,
            function,
            values: by_function
                .iter()
                .chain(others)
                .map(|(name, value)| (*name, value))
                .collect(),
        };
        // It has string keys only, so writing it cannot fail.
        let line = serde_json::to_string(&document).unwrap_or_default();
        (self.write)(&(line + "\n"));
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        // Numbers are whole between any two calls, whoever panicked while holding them.
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Definition {
    fn of((name, value): (&&'static str, &Value)) -> Self {
        let unit = match value {
            Value::Count(_) => COUNT,
            Value::Millis(_) => MILLISECONDS,
        };
        Self { name, unit }
    }
}

fn name<'a>(
    environment: &'a Environment,
    setting: &'static str,
) -> Result<Option<&'a str>, SettingError> {
    let is_allowed = |name: &str| {
        name.len() <= NAME_BYTES_MAX
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_./#".contains(&byte))
    };
    match environment.optional(setting) {
        Some(name) if !is_allowed(name) => Err(SettingError::new(
            setting,
            format!("must be at most {NAME_BYTES_MAX} letters, digits and any of -_./#"),
        )),
        name => Ok(name),
    }
}

#[cfg(test)]
mod tests;
