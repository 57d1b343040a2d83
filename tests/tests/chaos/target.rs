//! Registered work: a target that replies after a while, fails or closes the connection, and its
//! own record of what it was asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tests::target::{FunctionsFile, Reply, Targets};

use super::Chance;

/// The name of the registered function.
pub(crate) const FUNCTION: &str = "chaos.target";
const ATTEMPTS_MAX: u64 = 5;
/// Long enough for workers to be killed meanwhile, and short enough for the others to keep up.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The share of requests that are replied to with an error that is retried.
const RETRYABLE: f64 = 0.15;
/// The share of requests that are replied to with an error that is not retried.
const PERMANENT: f64 = 0.1;
/// The share of requests that are replied to with half of a response.
const CUT: f64 = 0.1;

pub(crate) struct Target {
    targets: Targets,
    file: FunctionsFile,
    invocations: Arc<Mutex<Invocations>>,
}

/// By operation, in the order in which they arrived.
type Invocations = HashMap<String, Vec<Invocation>>;

struct Invocation {
    attempt: u64,
    end: End,
}

#[derive(Clone, PartialEq)]
enum End {
    Returns(Value),
    Fails { is_permanent: bool },
}

impl Target {
    pub(crate) async fn start(chance: Chance) -> Self {
        let invocations = Arc::<Mutex<Invocations>>::default();
        let recorded = Arc::clone(&invocations);
        let targets = Targets::start(move |data| {
            let (end, reply) = choose(&chance, data);
            let id = data["operation_id"].as_str().unwrap().to_owned();
            let attempt = data["attempt"].as_u64().unwrap();
            let mut recorded = recorded.lock().unwrap();
            recorded
                .entry(id)
                .or_default()
                .push(Invocation { attempt, end });
            Reply::After(WAIT_MAX.mul_f64(chance.0.fraction()), Box::new(reply))
        });
        let file = FunctionsFile::new(&[json!({
            "name": FUNCTION,
            "version": "1.0.0",
            "description": "Returns, fails or closes the connection.",
            "arguments_schema": {"type": "object"},
            "attempts": ATTEMPTS_MAX,
            "timeout_seconds": 30,
            "retry": {"first_seconds": 1, "longest_seconds": 1},
            "target": {"lambda": {"function": "chaos:live"}},
        })]);
        Self {
            targets: targets.await,
            file,
            invocations,
        }
    }

    /// The variables of the functions.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 3] {
        [
            ("FUNCTIONS_FILE", self.file.path()),
            ("AWS_ENDPOINT_URL_LAMBDA", &self.targets.url),
            ("TARGET_KEEP_ALIVE_SECONDS", "1"),
        ]
    }

    /// The requests that arrived, and how many of them lost their worker before the reply.
    pub(crate) fn requests(&self) -> (usize, usize) {
        (self.targets.documents().len(), self.targets.abandoned())
    }

    /// The ids of the operations that the target was invoked for.
    pub(crate) fn operations(&self) -> Vec<String> {
        self.invocations.lock().unwrap().keys().cloned().collect()
    }

    /// Returns the promises that this operation breaks by what the target knows of it.
    pub(crate) fn broken(&self, id: &str, seen: &Value, must_not_run: bool) -> Vec<&'static str> {
        let invocations = self.invocations.lock().unwrap();
        let invocations = invocations.get(id).map_or(&[][..], Vec::as_slice);
        let last = invocations
            .iter()
            .find(|own| seen["attempt"] == own.attempt);
        let end = last.map(|invocation| &invocation.end);
        let is_exhausted = seen["attempt"] == ATTEMPTS_MAX;
        let has_other_end = match seen["status"].as_str() {
            Some("completed") => end != Some(&End::Returns(seen["result"].clone())),
            Some("failed") => !is_exhausted && end != Some(&End::Fails { is_permanent: true }),
            _ => false,
        };
        let mut attempts: Vec<_> = invocations.iter().map(|own| own.attempt).collect();
        attempts.sort_unstable();
        let out_of_range = |attempt: &u64| !(1..=ATTEMPTS_MAX).contains(attempt);
        let broken = [
            (
                "invoked for an attempt out of range",
                attempts.iter().any(out_of_range),
            ),
            (
                "invoked twice in one attempt",
                attempts.windows(2).any(|two| two[0] == two[1]),
            ),
            (
                "invoked after a cancel",
                must_not_run && !attempts.is_empty(),
            ),
            (
                "ended otherwise than the target's last reply",
                has_other_end,
            ),
        ];
        let broken = broken.into_iter().filter(|(_, is_broken)| *is_broken);
        broken.map(|(name, _)| name).collect()
    }
}

fn choose(chance: &Chance, data: &Value) -> (End, Reply) {
    let raised = |kind: &str| Reply::Raised(json!({"errorType": kind, "errorMessage": "chaos"}));
    let fails = |is_permanent| End::Fails { is_permanent };
    if chance.is(RETRYABLE) {
        (fails(false), raised("KeyError"))
    } else if chance.is(PERMANENT) {
        (fails(true), raised("PermanentError"))
    } else if chance.is(CUT) {
        (fails(false), Reply::Cut)
    } else {
        // No other attempt and no other request has the same.
        let result = json!({"attempt": data["attempt"], "random": chance.0.fraction().to_string()});
        (
            End::Returns(result.clone()),
            Reply::Returned(result.to_string()),
        )
    }
}
