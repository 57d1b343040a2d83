//! Metrics, as lines of CloudWatch's embedded metric format on standard output.
//!
//! CloudWatch extracts them from the log, so they cost no call and no time (Amazon CloudWatch User
//! Guide, "Specification: Embedded metric format"). The counts of an invocation are added up and
//! written at its end. An invocation that crashes loses its counts, so nothing else may depend on
//! them.
//!
//! They go through the facade of the crate `metrics`, so that a function's work can count its own
//! metrics just as easily. Each combination of dimension values is a separate metric, billed by the
//! month. So a service, a function, an outcome and one of a few codes are dimensions, but never an
//! owner or an id.

mod target_codes;

use std::io::Write as _;
use std::time::Duration;

use metrics::{Label, Unit};
use metrics_cloudwatch_embedded::{Builder, Collector};
use serde_json::Value;

pub use self::target_codes::{TARGET_CODES, TARGET_PERMANENT, TARGET_RETRYABLE};
use crate::config::{Environment, SettingError};
use crate::domain::time::Timestamp;

/// The CloudWatch namespace, unless `METRICS_NAMESPACE` names another.
pub const NAMESPACE_DEFAULT: &str = "Ferry";
/// The dimension of every metric: the service's name.
pub const SERVICE: &str = "service";
/// The dimension of metrics by function: the called function's name.
pub const FUNCTION: &str = "function";
/// The dimension of metrics by outcome.
pub const OUTCOME: &str = "outcome";
/// The dimension of metrics that can roll a deployment back: the version of the Lambda function.
pub const VERSION: &str = "version";
/// The dimension of metrics of targets: one of [`TARGET_CODES`].
pub const CODE: &str = "code";

/// AWS's limit on a stack's name. CloudWatch accepts 255 characters for a namespace and 1,024 for a
/// dimension's value.
const NAME_BYTES_MAX: usize = 128;

/// A counter or a timer. A parameter is a dimension's value: the called function's name, the
/// version, or the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric<'a> {
    /// A submit created an operation.
    SubmitAccepted(&'a str),
    /// A submit found the operation that an earlier one had created under its key.
    SubmitReplayed(&'a str),
    /// A submit's key was used for another request.
    SubmitConflicted(&'a str),
    /// A result was recorded.
    OperationCompleted(&'a str),
    /// Errors were recorded, and the operation ended.
    OperationFailed(&'a str),
    /// An owner cancelled an operation.
    OperationCancelled(&'a str),
    /// An operation's attempts were used up, or its deadline passed, while no worker held it.
    OperationGivenUp(&'a str),
    /// An attempt completed its operation.
    AttemptCompleted(&'a str),
    /// An attempt failed, and its operation with it.
    AttemptFailed(&'a str),
    /// An attempt failed, and another will follow.
    AttemptRetried(&'a str),
    /// An attempt saved a state, and another will continue from it.
    AttemptContinued(&'a str),
    /// An attempt lost its operation to a cancel or another worker.
    AttemptLost(&'a str),
    /// The time from an operation's creation, or its start if that is later, to its first attempt.
    QueueTime(&'a str),
    /// The time that an attempt's work took, except of an attempt that lost its operation.
    WorkDuration(&'a str),
    /// How long an operation has been claimable when its message is returned without a claim.
    UnclaimedTime,
    /// A target did not complete an attempt, by one of [`TARGET_CODES`].
    TargetError(&'static str),
    /// A receiver accepted a callback.
    CallbackDelivered,
    /// A receiver responded to a callback with 410.
    CallbackGone,
    /// A callback's last attempt failed.
    CallbackExhausted,
    /// A due callback was dropped: its operation's record is gone, and no tombstone shows that it
    /// was erased.
    CallbackDropped,
    /// An attempt at a callback failed.
    CallbackAttemptFailed,
    /// An attempt at a callback waits for a later wake-up, because its receiver is busy.
    CallbackAttemptDeferred,
    /// A write was refused because another process had written first.
    RaceLost,
    /// A message without an operation was dropped: its submit crashed, or the operation is gone.
    PhantomMessageDropped,
    /// A message that cannot be parsed was dropped.
    MalformedMessageDropped,
    /// A process exited because work continued after its caller cancelled it, or after its
    /// deadline.
    CallerCausedExit,
    /// The same, by the version of the Lambda function.
    CallerCausedExitOfVersion(&'a str),
}

impl<'a> Metric<'a> {
    /// Every metric, with empty parameters.
    pub const ALL: [Metric<'static>; 27] = [
        Metric::SubmitAccepted(""),
        Metric::SubmitReplayed(""),
        Metric::SubmitConflicted(""),
        Metric::OperationCompleted(""),
        Metric::OperationFailed(""),
        Metric::OperationCancelled(""),
        Metric::OperationGivenUp(""),
        Metric::AttemptCompleted(""),
        Metric::AttemptFailed(""),
        Metric::AttemptRetried(""),
        Metric::AttemptContinued(""),
        Metric::AttemptLost(""),
        Metric::QueueTime(""),
        Metric::WorkDuration(""),
        Metric::UnclaimedTime,
        Metric::TargetError(""),
        Metric::CallbackDelivered,
        Metric::CallbackGone,
        Metric::CallbackExhausted,
        Metric::CallbackDropped,
        Metric::CallbackAttemptFailed,
        Metric::CallbackAttemptDeferred,
        Metric::RaceLost,
        Metric::PhantomMessageDropped,
        Metric::MalformedMessageDropped,
        Metric::CallerCausedExit,
        Metric::CallerCausedExitOfVersion(""),
    ];

    /// The name in CloudWatch.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.parts().0
    }

    /// The function, for metrics with the dimension `function`.
    #[must_use]
    pub const fn function(self) -> Option<&'a str> {
        self.parts().1
    }

    /// The outcome, for metrics with the dimension `outcome`.
    #[must_use]
    pub const fn outcome(self) -> Option<&'static str> {
        self.parts().2
    }

    /// The version of the Lambda function, for metrics with the dimension `version`.
    #[must_use]
    pub const fn version(self) -> Option<&'a str> {
        match self {
            Self::CallerCausedExitOfVersion(version) => Some(version),
            _ => None,
        }
    }

    /// The code, for metrics with the dimension `code`.
    #[must_use]
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::TargetError(code) => Some(code),
            _ => None,
        }
    }

    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::QueueTime(_) | Self::WorkDuration(_) | Self::UnclaimedTime => Unit::Milliseconds,
            _ => Unit::Count,
        }
    }

    const fn parts(self) -> (&'static str, Option<&'a str>, Option<&'static str>) {
        match self {
            Self::SubmitAccepted(of) => ("Submits", Some(of), Some("accepted")),
            Self::SubmitReplayed(of) => ("Submits", Some(of), Some("replayed")),
            Self::SubmitConflicted(of) => ("Submits", Some(of), Some("conflicted")),
            Self::OperationCompleted(of) => ("Operations", Some(of), Some("completed")),
            Self::OperationFailed(of) => ("Operations", Some(of), Some("failed")),
            Self::OperationCancelled(of) => ("Operations", Some(of), Some("cancelled")),
            Self::OperationGivenUp(of) => ("Operations", Some(of), Some("given_up")),
            Self::AttemptCompleted(of) => ("Attempts", Some(of), Some("completed")),
            Self::AttemptFailed(of) => ("Attempts", Some(of), Some("failed")),
            Self::AttemptRetried(of) => ("Attempts", Some(of), Some("retried")),
            Self::AttemptContinued(of) => ("Attempts", Some(of), Some("continued")),
            Self::AttemptLost(of) => ("Attempts", Some(of), Some("lost")),
            Self::QueueTime(of) => ("QueueTime", Some(of), None),
            Self::WorkDuration(of) => ("WorkDuration", Some(of), None),
            Self::UnclaimedTime => ("UnclaimedTime", None, None),
            Self::TargetError(_) => ("TargetErrors", None, None),
            Self::CallbackDelivered => ("Callbacks", None, Some("delivered")),
            Self::CallbackGone => ("Callbacks", None, Some("gone")),
            Self::CallbackExhausted => ("Callbacks", None, Some("exhausted")),
            Self::CallbackDropped => ("Callbacks", None, Some("dropped")),
            Self::CallbackAttemptFailed => ("CallbackAttemptsFailed", None, None),
            Self::CallbackAttemptDeferred => ("CallbackAttemptsDeferred", None, None),
            Self::RaceLost => ("RacesLost", None, None),
            Self::PhantomMessageDropped => ("PhantomMessagesDropped", None, None),
            Self::MalformedMessageDropped => ("MalformedMessagesDropped", None, None),
            Self::CallerCausedExit | Self::CallerCausedExitOfVersion(_) => {
                ("CallerCausedExits", None, None)
            }
        }
    }

    fn labels(self) -> Vec<Label> {
        let function = self
            .function()
            .map(|name| Label::new(FUNCTION, name.to_owned()));
        let outcome = self.outcome().map(|outcome| Label::new(OUTCOME, outcome));
        let version = self
            .version()
            .map(|version| Label::new(VERSION, version.to_owned()));
        let code = self.code().map(|code| Label::new(CODE, code));
        let labels = function.into_iter().chain(outcome).chain(version);
        labels.chain(code).collect()
    }
}

/// Increments a counter.
pub fn count(metric: Metric<'_>) {
    metrics::counter!(metric.name(), metric.labels()).increment(1);
}

/// Records a duration, to the millisecond.
pub fn record_duration(metric: Metric<'_>, duration: Duration) {
    let millis = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    metrics::histogram!(metric.name(), metric.labels()).record(millis);
}

/// Where a process reports its metrics: the namespace `METRICS_NAMESPACE`, and the service
/// `SERVICE_NAME` as a dimension.
#[derive(Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    namespace: String,
    service: String,
}

impl MetricsConfig {
    /// Reads the settings; `None` without a service.
    ///
    /// # Errors
    ///
    /// When a name has characters that it must not have.
    pub fn from_environment(environment: &Environment) -> Result<Option<Self>, SettingError> {
        let namespace =
            name_setting(environment, "METRICS_NAMESPACE")?.unwrap_or(NAMESPACE_DEFAULT);
        let service = name_setting(environment, "SERVICE_NAME")?;
        Ok(service.map(|service| Self {
            namespace: namespace.to_owned(),
            service: service.to_owned(),
        }))
    }

    /// Collects what this process counts from now on. Once in a process: a second call has no
    /// effect, and its recorder has no metrics.
    #[must_use]
    pub fn install(self) -> Recorder {
        let collector = Builder::new()
            .cloudwatch_namespace(self.namespace)
            .with_dimension(SERVICE, self.service)
            .init();
        if collector.is_ok() {
            for metric in Metric::ALL {
                match metric.unit() {
                    unit @ Unit::Milliseconds => {
                        metrics::describe_histogram!(metric.name(), unit, "");
                    }
                    unit => metrics::describe_counter!(metric.name(), unit, ""),
                }
            }
        }
        Recorder(collector.ok())
    }
}

/// The metrics that a process has collected and not yet written.
#[derive(Clone, Copy, Default)]
pub struct Recorder(Option<&'static Collector>);

impl Recorder {
    /// Writes the collected metrics, at the end of an invocation: one line for each function and
    /// outcome; none when nothing was counted.
    pub fn flush(self) {
        write(&self.lines());
    }

    /// Writes the collected metrics with the time at which the invocation began. Lambda gives that
    /// time to its own metrics of an invocation (AWS Lambda Developer Guide, "Viewing metrics"), so
    /// an alarm can subtract one from the other, however long the invocation took.
    pub fn flush_as_of(self, began_at: Timestamp) {
        let lines = self.lines();
        let parsed = serde_json::Deserializer::from_slice(&lines).into_iter::<Value>();
        let mut dated = Vec::new();
        for mut line in parsed.flatten() {
            line["_aws"]["Timestamp"] = began_at.as_millis().into();
            dated.extend_from_slice(line.to_string().as_bytes());
            dated.push(b'\n');
        }
        write(&dated);
    }

    fn lines(self) -> Vec<u8> {
        let mut lines = Vec::new();
        if let Some(collector) = self.0 {
            // Metrics that cannot be written are lost: nothing may depend on them.
            let _ = collector.flush(&mut lines);
        }
        lines
    }
}

/// In one write, so that no other line comes between.
fn write(lines: &[u8]) {
    let _ = std::io::stdout().lock().write_all(lines);
}

fn name_setting<'a>(
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
mod tests {
    use super::*;

    #[test]
    fn without_a_service_no_metrics_are_written() {
        let environment = Environment::from_iter([("METRICS_NAMESPACE", "Mine")]);
        assert_eq!(MetricsConfig::from_environment(&environment), Ok(None));
    }

    #[test]
    fn an_error_of_a_target_is_counted_by_its_code_alone() {
        for code in TARGET_CODES {
            let metric = Metric::TargetError(code);
            assert_eq!(metric.labels(), [Label::new(CODE, code)]);
        }
    }

    #[test]
    fn a_name_that_cloudwatch_does_not_accept_is_refused() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for (name, value) in [
            ("SERVICE_NAME", ":orders"),
            ("SERVICE_NAME", &long),
            ("METRICS_NAMESPACE", "Café"),
        ] {
            let environment = Environment::from_iter([(name, value)]);
            let refused = MetricsConfig::from_environment(&environment).unwrap_err();
            assert!(
                refused.to_string().starts_with(&format!("{name} must be")),
                "{refused}"
            );
        }
    }
}
