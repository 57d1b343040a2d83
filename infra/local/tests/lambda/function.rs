//! Functions: their processes, their Runtime API and their ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::routing::post;
use local::function::{Function, FunctionError, FunctionSettings, PAYLOAD_MAX_BYTES};
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::probe::{self, MeetingPoint, invoke};

fn begin(function: &Arc<Function>, event: Value) -> JoinHandle<Result<Value, FunctionError>> {
    let function = Arc::clone(function);
    tokio::spawn(async move { invoke(&function, event).await })
}

async fn process_of(function: &Function, point: &MeetingPoint) -> u64 {
    let (answer, visitor) = tokio::join!(invoke(function, point.invitation("which")), async {
        point.next().await.process_id
    });
    assert_eq!(answer.unwrap(), json!(visitor));
    visitor
}

#[tokio::test]
async fn an_event_comes_back_as_it_was_sent() {
    let function = Function::processes(probe::settings());
    let event = json!({"text": "ä\u{0}\"", "number": 1.5, "nothing": null});
    assert_eq!(invoke(&function, event.clone()).await.unwrap(), event);
    function.stop().await;
}

#[tokio::test]
async fn a_process_sees_lambdas_environment_and_its_own_variables_and_nothing_else() {
    let function = Function::processes(FunctionSettings {
        environment: vec![("TABLE_NAME".to_owned(), "ferry".to_owned())],
        ..probe::settings()
    });
    let seen = invoke(&function, json!({"probe": "environment"}))
        .await
        .unwrap();
    let mut seen: BTreeMap<String, String> = serde_json::from_value(seen).unwrap();
    assert!(seen.remove("AWS_LAMBDA_RUNTIME_API").is_some());
    // Set by the runtime for each invocation.
    assert!(seen.remove("_X_AMZN_TRACE_ID").is_some());
    let expected = [
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_FUNCTION_NAME", "probe"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/probe"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "local/[$LATEST]0"),
        ("AWS_REGION", "us-east-1"),
        ("TABLE_NAME", "ferry"),
        ("TZ", ":UTC"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(seen, BTreeMap::from(expected));
    function.stop().await;
}

#[tokio::test]
async fn an_invocation_has_an_id_of_its_own_a_deadline_and_the_functions_arn() {
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
async fn processes_grow_to_the_limit_and_later_invocations_wait_their_turn_in_order() {
    let point = MeetingPoint::open().await;
    let function = Arc::new(Function::processes(FunctionSettings {
        instances_max: 2,
        ..probe::settings()
    }));
    let first = begin(&function, point.invitation("first"));
    let first_visitor = point.next().await;
    let second = begin(&function, point.invitation("second"));
    let second_visitor = point.next().await;
    assert_ne!(first_visitor.process_id, second_visitor.process_id);

    let waiting: Vec<_> = ["third", "fourth", "fifth"]
        .map(|name| begin(&function, point.invitation(name)))
        .into();
    let busy = [first_visitor.process_id, second_visitor.process_id];
    let mut held = vec![first_visitor, second_visitor];
    for name in ["third", "fourth", "fifth"] {
        let free = held.remove(0).process_id;
        let visitor = point.next().await;
        assert_eq!(visitor.name, name);
        assert_eq!(
            visitor.process_id, free,
            "the process that came free takes the next"
        );
        assert!(busy.contains(&visitor.process_id));
        held.push(visitor);
    }
    drop(held);
    for invocation in [first, second].into_iter().chain(waiting) {
        assert!(busy.contains(&invocation.await.unwrap().unwrap().as_u64().unwrap()));
    }
    function.stop().await;
}

#[tokio::test]
async fn a_lone_caller_is_served_by_one_process_again_and_again() {
    let point = MeetingPoint::open().await;
    let function = Function::processes(FunctionSettings {
        instances_max: 5,
        ..probe::settings()
    });
    let process_id = process_of(&function, &point).await;
    for _ in 0..3 {
        assert_eq!(process_of(&function, &point).await, process_id);
    }
    function.stop().await;
}

#[tokio::test]
async fn a_process_past_its_time_limit_is_killed_and_replaced() {
    let point = MeetingPoint::open().await;
    let function = Arc::new(Function::processes(FunctionSettings {
        timeout: Duration::from_millis(300),
        ..probe::settings()
    }));
    let invocation = begin(&function, point.invitation("slow"));
    let visitor = point.next().await;
    let process_id = visitor.process_id;
    let error = invocation.await.unwrap().unwrap_err();
    assert!(matches!(error, FunctionError::TimedOut { .. }), "{error}");
    visitor.gone().await;
    assert_ne!(process_of(&function, &point).await, process_id);
    function.stop().await;
}

#[tokio::test]
async fn a_process_that_dies_is_answered_for_at_once_and_replaced() {
    let point = MeetingPoint::open().await;
    let function = Function::processes(probe::settings());
    let process_id = process_of(&function, &point).await;
    let error = invoke(&function, json!({"probe": {"exit": 3}}))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, FunctionError::Exited { status } if status.contains('3')),
        "{error}"
    );
    assert_ne!(process_of(&function, &point).await, process_id);
    function.stop().await;
}

#[tokio::test]
async fn a_reported_error_or_a_panic_leaves_the_process_as_it_was() {
    let point = MeetingPoint::open().await;
    let function = Function::processes(probe::settings());
    let process_id = process_of(&function, &point).await;
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
    assert_eq!(process_of(&function, &point).await, process_id);
    function.stop().await;
}

#[tokio::test]
async fn a_function_that_cannot_start_is_told_with_its_reason() {
    let failing = Function::processes(FunctionSettings {
        environment: vec![("PROBE_INIT_FAILS".to_owned(), "1".to_owned())],
        ..probe::settings()
    });
    let missing = Function::processes(FunctionSettings {
        binary: "/nowhere/probe".into(),
        ..probe::settings()
    });
    for (function, words) in [(failing, "exit status: 1"), (missing, "/nowhere/probe")] {
        for _ in 0..2 {
            let error = invoke(&function, json!({})).await.unwrap_err();
            assert!(
                matches!(&error, FunctionError::Init { reason } if reason.contains(words)),
                "{error}"
            );
        }
        function.stop().await;
    }
}

#[tokio::test]
async fn stopping_leaves_no_process_and_answers_everybody() {
    let point = MeetingPoint::open().await;
    let function = Arc::new(Function::processes(FunctionSettings {
        instances_max: 2,
        ..probe::settings()
    }));
    let running = [(); 2].map(|()| begin(&function, point.invitation("running")));
    let visitors = [point.next().await, point.next().await];
    let waiting = begin(&function, point.invitation("waiting"));

    function.stop().await;
    for visitor in visitors {
        visitor.gone().await;
    }
    for invocation in running.into_iter().chain([waiting]) {
        let error = invocation.await.unwrap().unwrap_err();
        assert!(matches!(error, FunctionError::Stopped), "{error}");
    }
    let later = invoke(&function, json!({})).await.unwrap_err();
    assert!(matches!(later, FunctionError::Stopped), "{later}");
}

#[tokio::test]
async fn a_function_that_is_dropped_takes_its_processes_along() {
    let point = MeetingPoint::open().await;
    let function = Function::processes(probe::settings());
    let visitor = tokio::select! {
        _ = invoke(&function, point.invitation("running")) => unreachable!("it waits to be let go"),
        visitor = point.next() => visitor,
    };
    drop(function);
    visitor.gone().await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_end_the_invocation() {
    let point = MeetingPoint::open().await;
    let function = Function::processes(probe::settings());
    let visitor = tokio::select! {
        _ = invoke(&function, point.invitation("running")) => unreachable!("it waits to be let go"),
        visitor = point.next() => visitor,
    };
    let process_id = visitor.process_id;
    drop(visitor);
    assert_eq!(process_of(&function, &point).await, process_id);
    function.stop().await;
}

#[tokio::test]
async fn events_and_responses_past_six_megabytes_are_refused() {
    let point = MeetingPoint::open().await;
    let function = Function::processes(probe::settings());
    let process_id = process_of(&function, &point).await;
    let event = Bytes::from(vec![b' '; PAYLOAD_MAX_BYTES + 1]);
    let error = function.invoke(event).await.unwrap_err();
    assert!(
        matches!(error, FunctionError::EventTooLarge { .. }),
        "{error}"
    );

    // The quotation marks count.
    let largest = json!({"probe": {"reply_bytes": PAYLOAD_MAX_BYTES - 2}});
    assert!(invoke(&function, largest).await.is_ok());
    let larger = json!({"probe": {"reply_bytes": PAYLOAD_MAX_BYTES - 1}});
    let error = invoke(&function, larger).await.unwrap_err();
    assert!(matches!(error, FunctionError::Response { .. }), "{error}");
    assert_eq!(process_of(&function, &point).await, process_id);
    function.stop().await;
}

#[tokio::test]
async fn a_remote_function_is_invoked_by_name_and_its_error_header_is_heeded() {
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
