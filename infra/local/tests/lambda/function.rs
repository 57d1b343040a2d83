//! Functions: their processes, the Runtime API, timeouts and failures.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::routing::post;
use local::function::{
    Function, FunctionCommand, FunctionError, FunctionSettings, PAYLOAD_MAX_BYTES,
};
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::invoke_api;
use crate::probe::{self, ProbeListener, invoke};

fn begin(function: &Arc<Function>, event: Value) -> JoinHandle<Result<Value, FunctionError>> {
    let function = Arc::clone(function);
    tokio::spawn(async move { invoke(&function, event).await })
}

async fn process_of(function: &Function, listener: &ProbeListener) -> u64 {
    let (response, held) = tokio::join!(invoke(function, listener.hold("which")), async {
        listener.accept().await.process_id
    });
    assert_eq!(response.unwrap(), json!(held));
    held
}

#[tokio::test]
async fn a_function_receives_the_event_unchanged() {
    let function = Function::processes(probe::settings());
    let event = json!({"text": "ä\u{0}\"", "number": 1.5, "nothing": null});
    assert_eq!(invoke(&function, event.clone()).await.unwrap(), event);
    function.stop().await;
}

#[tokio::test]
async fn a_process_has_lambdas_and_the_functions_variables_only() {
    let function = Function::processes(FunctionSettings {
        environment: vec![("TABLE_NAME".to_owned(), "ferry".to_owned())],
        ..probe::settings()
    });
    let response = invoke(&function, json!({"probe": "environment"}))
        .await
        .unwrap();
    let mut variables: BTreeMap<String, String> = serde_json::from_value(response).unwrap();
    assert!(variables.remove("AWS_LAMBDA_RUNTIME_API").is_some());
    // The runtime sets it for each invocation.
    assert!(variables.remove("_X_AMZN_TRACE_ID").is_some());
    let task_root = probe::binary().parent().unwrap().display().to_string();
    let expected = [
        ("_HANDLER", "bootstrap"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_NAME", "probe"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/probe"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "local/[$LATEST]0"),
        ("AWS_REGION", "us-east-1"),
        ("LAMBDA_TASK_ROOT", &task_root),
        ("TABLE_NAME", "ferry"),
        ("TZ", ":UTC"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(variables, BTreeMap::from(expected));
    function.stop().await;
}

#[tokio::test]
async fn a_process_runs_in_its_directory_with_its_arguments() {
    let directory = invoke_api::directory("command");
    let script = "exec env WORKING_DIRECTORY=\"$(pwd)\" \"$0\"";
    let arguments = [
        "-c",
        script,
        &probe::binary().display().to_string(),
        "app.handler",
    ];
    let function = Function::processes(FunctionSettings {
        command: FunctionCommand {
            program: "/bin/sh".into(),
            arguments: arguments.map(str::to_owned).into(),
            directory: Some(directory.clone()),
        },
        ..probe::settings()
    });
    let response = invoke(&function, json!({"probe": "environment"}))
        .await
        .unwrap();
    assert_eq!(response["WORKING_DIRECTORY"], json!(directory));
    assert_eq!(response["LAMBDA_TASK_ROOT"], json!(directory));
    assert_eq!(response["_HANDLER"], "app.handler");
    function.stop().await;
}

#[tokio::test]
async fn an_invocation_has_a_unique_id_a_deadline_and_the_functions_arn() {
    let function = Function::processes(probe::settings());
    let before = SystemClock.now().as_millis();
    let first = invoke(&function, json!({"probe": "context"}))
        .await
        .unwrap();
    let second = invoke(&function, json!({"probe": "context"}))
        .await
        .unwrap();
    let after = SystemClock.now().as_millis();
    assert_ne!(first["request_id"], second["request_id"]);
    assert_ne!(first["trace_id"], second["trace_id"]);
    assert_eq!(
        first["arn"],
        "arn:aws:lambda:us-east-1:000000000000:function:probe"
    );
    assert!(first["trace_id"].as_str().unwrap().starts_with("Root=1-"));
    let deadline = first["deadline_ms"].as_i64().unwrap();
    assert!((before + 60_000..=after + 60_000).contains(&deadline));
    function.stop().await;
}

#[tokio::test]
async fn processes_start_up_to_the_limit_and_later_invocations_wait_in_order() {
    let listener = ProbeListener::open().await;
    let function = Arc::new(Function::processes(FunctionSettings {
        instances_max: 2,
        ..probe::settings()
    }));
    let first = begin(&function, listener.hold("first"));
    let first_held = listener.accept().await;
    let second = begin(&function, listener.hold("second"));
    let second_held = listener.accept().await;
    assert_ne!(first_held.process_id, second_held.process_id);

    let waiting: Vec<_> = ["third", "fourth", "fifth"]
        .map(|name| begin(&function, listener.hold(name)))
        .into();
    let processes = [first_held.process_id, second_held.process_id];
    let mut all_held = vec![first_held, second_held];
    for name in ["third", "fourth", "fifth"] {
        let released = all_held.remove(0).process_id;
        let held = listener.accept().await;
        assert_eq!(held.name, name);
        assert_eq!(held.process_id, released, "{name}");
        assert!(processes.contains(&held.process_id));
        all_held.push(held);
    }
    drop(all_held);
    for invocation in [first, second].into_iter().chain(waiting) {
        let process_id = invocation.await.unwrap().unwrap().as_u64().unwrap();
        assert!(processes.contains(&process_id));
    }
    function.stop().await;
}

#[tokio::test]
async fn successive_invocations_use_one_process() {
    let listener = ProbeListener::open().await;
    let function = Function::processes(FunctionSettings {
        instances_max: 5,
        ..probe::settings()
    });
    let process_id = process_of(&function, &listener).await;
    for _ in 0..3 {
        assert_eq!(process_of(&function, &listener).await, process_id);
    }
    function.stop().await;
}

#[tokio::test]
async fn a_process_past_the_timeout_is_killed_and_replaced() {
    let listener = ProbeListener::open().await;
    let function = Arc::new(Function::processes(FunctionSettings {
        timeout: Duration::from_millis(300),
        ..probe::settings()
    }));
    let invocation = begin(&function, listener.hold("slow"));
    let held = listener.accept().await;
    let process_id = held.process_id;
    let error = invocation.await.unwrap().unwrap_err();
    assert!(matches!(error, FunctionError::TimedOut { .. }), "{error}");
    held.ended().await;
    assert_ne!(process_of(&function, &listener).await, process_id);
    function.stop().await;
}

#[tokio::test]
async fn the_end_of_a_process_fails_its_invocation_at_once_and_a_new_process_starts() {
    let listener = ProbeListener::open().await;
    let function = Function::processes(probe::settings());
    let process_id = process_of(&function, &listener).await;
    let error = invoke(&function, json!({"probe": {"exit": 3}}))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, FunctionError::Exited { status, .. } if status.contains('3')),
        "{error}"
    );
    assert_ne!(process_of(&function, &listener).await, process_id);
    function.stop().await;
}

#[tokio::test]
async fn a_process_survives_a_reported_error_and_a_panic() {
    let listener = ProbeListener::open().await;
    let function = Function::processes(probe::settings());
    let process_id = process_of(&function, &listener).await;
    for (event, words) in [
        (json!({"probe": {"fail": "no luck"}}), "no luck"),
        (json!({"probe": {"panic": "no nerves"}}), "no nerves"),
    ] {
        let error = invoke(&function, event).await.unwrap_err();
        assert!(
            matches!(&error, FunctionError::Reported { message, .. } if message.contains(words)),
            "{error}"
        );
    }
    assert_eq!(process_of(&function, &listener).await, process_id);
    function.stop().await;
}

#[tokio::test]
async fn an_invocation_of_a_function_that_cannot_start_fails_with_the_reason() {
    let failing = Function::processes(FunctionSettings {
        environment: vec![("PROBE_INIT_FAILS".to_owned(), "1".to_owned())],
        ..probe::settings()
    });
    let missing = Function::processes(FunctionSettings {
        command: PathBuf::from("/nowhere/probe").into(),
        ..probe::settings()
    });
    let silent = Function::processes(FunctionSettings {
        command: FunctionCommand {
            arguments: vec!["60".to_owned()],
            ..PathBuf::from("/bin/sleep").into()
        },
        init_timeout: Duration::from_millis(300),
        ..probe::settings()
    });
    for (function, words) in [
        (failing, "exit status: 1"),
        (missing, "/nowhere/probe"),
        (silent, "no invocation within 0.3 s"),
    ] {
        for _ in 0..2 {
            let error = invoke(&function, json!({})).await.unwrap_err();
            assert!(
                matches!(&error, FunctionError::Init { reason, .. } if reason.contains(words)),
                "{error}"
            );
        }
        function.stop().await;
    }
}

#[tokio::test]
async fn stopping_ends_every_process_and_every_invocation() {
    let listener = ProbeListener::open().await;
    let function = Arc::new(Function::processes(FunctionSettings {
        instances_max: 2,
        ..probe::settings()
    }));
    let running = [(); 2].map(|()| begin(&function, listener.hold("running")));
    let all_held = [listener.accept().await, listener.accept().await];
    let waiting = begin(&function, listener.hold("waiting"));

    function.stop().await;
    for held in all_held {
        held.ended().await;
    }
    for invocation in running.into_iter().chain([waiting]) {
        let error = invocation.await.unwrap().unwrap_err();
        assert!(matches!(error, FunctionError::Stopped), "{error}");
    }
    let later = invoke(&function, json!({})).await.unwrap_err();
    assert!(matches!(later, FunctionError::Stopped), "{later}");
}

#[tokio::test]
async fn dropping_a_function_kills_its_processes() {
    let listener = ProbeListener::open().await;
    let function = Function::processes(probe::settings());
    let held = tokio::select! {
        _ = invoke(&function, listener.hold("running")) => unreachable!("the probe is held"),
        held = listener.accept() => held,
    };
    drop(function);
    held.ended().await;
}

/// The shell is the process that is started, and the probe its child.
fn probe_below_a_shell() -> FunctionSettings {
    let script = format!("{}; true", probe::binary().display());
    FunctionSettings {
        command: FunctionCommand {
            arguments: vec!["-c".to_owned(), script],
            ..PathBuf::from("/bin/sh").into()
        },
        ..probe::settings()
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_process_has_started_ends_with_it() {
    let listener = ProbeListener::open().await;
    let function = Arc::new(Function::processes(FunctionSettings {
        timeout: Duration::from_millis(300),
        ..probe_below_a_shell()
    }));
    let slow = begin(&function, listener.hold("slow"));
    listener.accept().await.ended().await;
    let error = slow.await.unwrap().unwrap_err();
    assert!(matches!(error, FunctionError::TimedOut { .. }), "{error}");

    let function = Arc::new(Function::processes(probe_below_a_shell()));
    let running = begin(&function, listener.hold("running"));
    let held = listener.accept().await;
    function.stop().await;
    held.ended().await;
    running.await.unwrap().unwrap_err();

    let function = Function::processes(probe_below_a_shell());
    let held = tokio::select! {
        _ = invoke(&function, listener.hold("dropped")) => unreachable!("the probe is held"),
        held = listener.accept() => held,
    };
    drop(function);
    held.ended().await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_end_the_invocation() {
    let listener = ProbeListener::open().await;
    let function = Function::processes(probe::settings());
    for may_wait in [true, false] {
        let event = Bytes::from(listener.hold("running").to_string());
        let held = tokio::select! {
            _ = function.invoke(event.clone()), if may_wait => unreachable!("the probe is held"),
            _ = function.invoke_or_throttle(event), if !may_wait => unreachable!("as above"),
            held = listener.accept() => held,
        };
        let process_id = held.process_id;
        drop(held);
        assert_eq!(process_of(&function, &listener).await, process_id);
    }
    function.stop().await;
}

#[tokio::test]
async fn a_renewed_function_gets_new_processes_and_a_busy_one_ends_after_its_invocation() {
    let listener = ProbeListener::open().await;
    let function = Arc::new(Function::processes(FunctionSettings {
        instances_max: 2,
        ..probe::settings()
    }));
    let idle = begin(&function, listener.hold("idle"));
    let busy = begin(&function, listener.hold("busy"));
    let mut all_held = [listener.accept().await, listener.accept().await];
    all_held.sort_by_key(|held| held.name.clone());
    let [busy_held, idle_held] = all_held;
    let old = [busy_held.process_id, idle_held.process_id];
    drop(idle_held);
    idle.await.unwrap().unwrap();

    function.renew().await.unwrap();
    let new = process_of(&function, &listener).await;
    assert!(!old.contains(&new));
    drop(busy_held);
    assert_eq!(busy.await.unwrap().unwrap(), json!(old[0]));
    // Both processes of the function are busy, so the old one would be one of them.
    let both = [(); 2].map(|()| begin(&function, listener.hold("both")));
    for _ in 0..2 {
        assert!(!old.contains(&listener.accept().await.process_id));
    }
    for invocation in both {
        invocation.await.unwrap().unwrap();
    }
    function.stop().await;
}

#[tokio::test]
async fn events_and_responses_over_six_mebibytes_are_refused() {
    let listener = ProbeListener::open().await;
    let function = Function::processes(probe::settings());
    let process_id = process_of(&function, &listener).await;
    let event = Bytes::from(vec![b' '; PAYLOAD_MAX_BYTES + 1]);
    let error = function.invoke(event).await.unwrap_err();
    assert!(
        matches!(error, FunctionError::EventTooLarge { .. }),
        "{error}"
    );

    // Two bytes are the string's quotation marks.
    let largest = json!({"probe": {"reply_bytes": PAYLOAD_MAX_BYTES - 2}});
    assert!(invoke(&function, largest).await.is_ok());
    let larger = json!({"probe": {"reply_bytes": PAYLOAD_MAX_BYTES - 1}});
    let error = invoke(&function, larger).await.unwrap_err();
    assert!(matches!(error, FunctionError::Response { .. }), "{error}");
    assert_eq!(process_of(&function, &listener).await, process_id);
    function.stop().await;
}

#[tokio::test]
async fn a_remote_function_is_invoked_by_name_and_its_error_header_is_an_error() {
    let routes = Router::new().route(
        "/2015-03-31/functions/{name}/invocations",
        post(async |Path(name): Path<String>, event: Bytes| {
            let mut headers = HeaderMap::new();
            if event.as_ref() == b"{}" {
                return (headers, format!(r#""{name}""#));
            }
            headers.insert("x-amz-function-error", "Unhandled".parse().unwrap());
            let document = r#"{"errorType":"Oops","errorMessage":"not today"}"#;
            (headers, document.to_owned())
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });

    let function = Function::remote(&endpoint, "status");
    assert_eq!(invoke(&function, json!({})).await.unwrap(), "status");
    let error = invoke(&function, json!({"fail": true})).await.unwrap_err();
    assert_eq!(error.to_string(), "Oops: not today");

    server.abort();
    let _ = server.await;
    let error = invoke(&Function::remote("http://127.0.0.1:1", "status"), json!({}))
        .await
        .unwrap_err();
    assert!(matches!(error, FunctionError::Unreachable(_)), "{error}");
}
