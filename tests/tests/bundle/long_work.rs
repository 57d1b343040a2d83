//! Long work in real time: legs whose workers are killed, a redrive, and a start.

use std::sync::Arc;
use std::time::Duration;

use local::bundle::Settings;
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::config::Environment;
use shared::domain::time::Timestamp;
use shared::random::{Random, SeededRandom};
use tests::api::Api;
use tests::bundle::{RunningBundle, linked_functions, settings};
use tests::processes::Process;
use tests::target::{FunctionsFile, Reply, Targets};
use tests::wait::until;

use super::TIMED;

const LEGS: u64 = 3;

/// How long work sleeps between two legs, unless `SLEEP_SECONDS` sets another time: longer than a
/// lease.
const SLEEP_SECS_DEFAULT: u64 = 6;

/// Draws the legs in which the worker is killed, here one, and the moments.
const SEED: u64 = 9;

/// How late an operation may start.
const LATE_MAX: Duration = Duration::from_secs(2);

/// A bundle with a registered function that works in legs, and its target.
struct LongWork {
    api: Api,
    targets: Targets,
    functions: &'static str,
    _file: FunctionsFile,
}

impl LongWork {
    /// The bundle's processes are started from the directory `functions`.
    async fn start(functions: &'static str) -> Self {
        let targets = Targets::start(leg).await;
        let file = FunctionsFile::new(&[json!({
            "name": "imports.run",
            "version": "1.0.0",
            "description": "Works in legs.",
            "arguments_schema": {"type": "object"},
            "target": {"lambda": {"function": "import:live"}},
        })]);
        let environment = [
            ("AWS_ENDPOINT_URL_LAMBDA", targets.url.as_str()),
            ("AWS_LAMBDA_LOG_LEVEL", "ERROR"),
            ("FUNCTIONS_FILE", file.path()),
            // The shortest.
            ("LEASE_SECONDS", "5"),
        ];
        let environment = environment.map(|(name, value)| (name, value.to_owned()));
        let bundle = RunningBundle::start(Settings {
            functions_directory: linked_functions(functions),
            functions_file: None,
            ..settings(environment.into())
        });
        Self {
            api: Api::new(Arc::new(bundle), functions),
            targets,
            functions,
            _file: file,
        }
    }

    async fn submit(&self, arguments: &Value) -> String {
        let body = json!({"function": "imports.run", "arguments": arguments});
        self.api.submit(&body).await.id()
    }

    async fn show(&self, id: &str) -> Value {
        self.api.get(&format!("/operations/{id}")).await.json()
    }

    /// Waits for the target's next invocation after this many.
    async fn invoked_after(&self, invocations: usize) {
        until("the next invocation of the target", async || {
            (self.targets.bodies().len() > invocations).then_some(())
        })
        .await;
    }

    async fn kill_workers(&self) {
        let directory = linked_functions(self.functions);
        for process in Process::children_of(std::process::id()).await {
            if process.name == "worker" && process.directory == directory {
                process.signal("KILL").await;
            }
        }
    }
}

/// One leg of the work. The arguments say how many legs there are, how long the sleeps between them
/// last, and which attempt fails.
fn leg(data: &Value) -> Reply {
    let arguments = &data["arguments"];
    let legs_done = data["state"]["legs_done"].as_u64().unwrap_or(0) + 1;
    if data["attempt"] == arguments["fails_in_attempt"] {
        return Reply::Raised(json!({"errorType": "PermanentError", "errorMessage": "no"}));
    }
    let reply = if arguments["legs"] == legs_done {
        json!({"legs": legs_done})
    } else {
        let state = json!({"legs_done": legs_done});
        json!({"$continue": {"state": state, "after_seconds": arguments["sleep_seconds"]}})
    };
    Reply::Later(reply.to_string())
}

#[tokio::test]
async fn work_in_legs_completes_although_its_workers_are_killed() {
    let setting = Environment::from_process();
    let sleep_secs = setting.optional("SLEEP_SECONDS");
    let sleep_secs = sleep_secs.map_or(SLEEP_SECS_DEFAULT, |text| text.parse().unwrap());
    let sleep = Duration::from_secs(sleep_secs);
    let random: &dyn Random = &SeededRandom::new(SEED);
    println!("seed {SEED}, {LEGS} legs, {sleep_secs} s of sleep between them");
    let work = LongWork::start("legs").await;
    let id = work
        .submit(&json!({"legs": LEGS, "sleep_seconds": sleep_secs}))
        .await;
    let mut ends = Vec::new();
    for leg in 1..=LEGS {
        work.invoked_after(ends.len()).await;
        if random.fraction() < 0.5 {
            tokio::time::sleep(Duration::from_secs(1).mul_f64(random.fraction())).await;
            work.kill_workers().await;
            ends.push("lost");
            work.invoked_after(ends.len()).await;
        }
        work.targets.release();
        if leg == LEGS {
            ends.push("completed");
            continue;
        }
        ends.push("continued");
        let resumes_at = until("the sleep", async || {
            let resumes_at = work.show(&id).await["resumes_at"].clone();
            Some(time(resumes_at.as_str()?))
        })
        .await;
        // Before it resumes: a worker that dies with a new message hides it for 15 minutes.
        tokio::time::sleep(sleep.mul_f64(0.8 * random.fraction())).await;
        work.kill_workers().await;
        assert!(SystemClock.now() < resumes_at);
    }
    let completed = work.api.wait_for_status(&id, "completed").await.json();
    assert_eq!(completed["result"], json!({"legs": LEGS}));
    let attempts = completed["attempts"].as_array().unwrap();
    let shown = attempts.iter().map(|attempt| attempt["outcome"].clone());
    assert_eq!(shown.collect::<Vec<_>>(), ends);
    assert!(ends.contains(&"lost"), "another seed would kill a worker");
    println!("attempts: {}", ends.join(", "));
}

#[tokio::test]
async fn a_failed_operation_is_redriven_from_its_state_and_once() {
    let work = LongWork::start("redrives").await;
    let id = work
        .submit(&json!({"legs": 2, "sleep_seconds": 0, "fails_in_attempt": 2}))
        .await;
    work.targets.release();
    let failed = work.api.wait_for_status(&id, "failed").await.json();
    assert_eq!(failed["attempts"][0]["outcome"], "continued");
    let path = format!("/operations/{id}/redrive");
    let accepted = work.api.post(&path).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    assert_eq!(accepted.json()["redrive_of"], id);
    work.targets.release();
    let redrive = accepted.id();
    let completed = work.api.wait_for_status(&redrive, "completed").await;
    assert_eq!(completed.json()["result"], json!({"legs": 2}));
    let replay = work.api.post(&path).await;
    assert_eq!((replay.status, replay.id()), (200, redrive));
    assert_eq!(replay.header("idempotent-replayed"), "true");
    assert_eq!(replay.json(), completed.json());
    assert_eq!(work.show(&id).await, failed);
    // Two of the failed operation, and one of the redrive.
    assert_eq!(work.targets.bodies().len(), 3);
}

#[tokio::test]
async fn an_operation_starts_on_time_unless_it_is_cancelled_before() {
    let work = LongWork::start("starts").await;
    let _timed = TIMED.lock().await;
    let body = |secs: u64| json!({"function": "demo.echo", "start_after_seconds": secs});
    let cancelled = work.api.submit(&body(30)).await.id();
    let id = work.api.submit(&body(3)).await.id();
    let path = format!("/operations/{cancelled}/cancel");
    assert_eq!(work.api.post(&path).await.status, 200);
    let completed = work.api.wait_for_status(&id, "completed").await.json();
    let [starts_at, started_at] =
        ["starts_at", "started_at"].map(|name| time(completed[name].as_str().unwrap()));
    let late = started_at.since(starts_at);
    println!("started {} ms late", late.as_millis());
    assert!(starts_at <= started_at && late < LATE_MAX, "{completed}");
    let cancelled = work.show(&cancelled).await;
    let seen = (&cancelled["status"], &cancelled["attempt"]);
    assert_eq!(seen, (&json!("cancelled"), &json!(0)));
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
