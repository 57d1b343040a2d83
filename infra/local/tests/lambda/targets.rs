//! Targets of registered functions, behind Lambda's Invoke API.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::post;
use local::function::PAYLOAD_MAX_BYTES;
use local::targets::TargetSettings;
use serde_json::{Value, json};
use shared::catalogue::LocalTarget;
use tokio::net::TcpListener;

use crate::invoke_api::{Api, command, directory, invoked, target};
use crate::probe::{self, ProbeListener};
use crate::wait::soon;

fn probe_target(lambda_function: &str) -> TargetSettings {
    target(
        lambda_function,
        command(&[&probe::binary().display().to_string()]),
    )
}

#[tokio::test]
async fn a_function_is_found_by_its_name_in_the_file_and_gets_the_event() {
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:resize:7";
    let names = ["resize", "resize:live", arn];
    let targets = names.map(probe_target).into();
    let api = Api::open(directory("names"), targets).await;
    let escaped = arn.replace(':', "%3A");
    for name in ["resize", "resize:live", "resize%3Alive", arn, &escaped] {
        let invoked = api.invoke(name, &json!({"key": [1.5, null]})).await;
        assert_eq!((invoked.status, invoked.failed), (200, None), "{name}");
        assert_eq!(invoked.body, json!({"key": [1.5, null]}), "{name}");
        let context = api.invoke(name, &json!({"probe": "context"})).await;
        let own = "arn:aws:lambda:us-east-1:000000000000:function:resize";
        assert_eq!(context.body["arn"], own);
    }
    for name in [
        "resize:other",
        "other",
        "arn:aws:lambda:us-east-1:1:function:resize",
    ] {
        let invoked = api.invoke(name, &json!({})).await;
        invoked.is_error(404, "ResourceNotFoundException");
    }
    api.targets.stop().await;
}

#[tokio::test]
async fn a_target_gets_its_variables_and_the_path_of_the_shell() {
    let directory = directory("variables");
    std::fs::hard_link(probe::binary(), directory.join("bootstrap")).unwrap();
    let api = Api::open(
        directory.clone(),
        vec![target("resize", command(&["./bootstrap"]))],
    )
    .await;
    let variables = api.invoke("resize", &json!({"probe": "environment"})).await;
    assert_eq!(variables.body["BUCKET"], "dev");
    let path = std::env::var_os("PATH").unwrap();
    assert_eq!(variables.body["PATH"], path.to_str().unwrap());
    assert_eq!(
        variables.body["LAMBDA_TASK_ROOT"],
        format!("{}/", directory.display())
    );
    assert_eq!(variables.body["HOME"], Value::Null);
    api.targets.stop().await;
}

#[tokio::test]
async fn an_error_of_the_function_is_a_response_with_the_runtimes_document() {
    let api = Api::open(directory("failures"), vec![probe_target("resize")]).await;
    let invoked = api
        .invoke("resize", &json!({"probe": {"fail": "no luck"}}))
        .await;
    assert!(invoked.function_error().contains("Error"), "{invoked:?}");
    assert_eq!(invoked.error_message(), "no luck");

    let invoked = api.invoke("resize", &json!({"probe": {"exit": 3}})).await;
    assert_eq!(invoked.function_error(), "Runtime.ExitError");
    assert!(invoked.error_message().contains("exit status: 3"));

    let bytes = json!({"probe": {"reply_bytes": PAYLOAD_MAX_BYTES - 1}});
    let invoked = api.invoke("resize", &bytes).await;
    assert_eq!(invoked.function_error(), "Function.ResponseSizeTooLarge");
    api.targets.stop().await;
}

#[tokio::test]
async fn a_timeout_kills_the_process() {
    let listener = ProbeListener::open().await;
    let settings = TargetSettings {
        timeout: Duration::from_millis(1500),
        ..probe_target("resize")
    };
    let api = Api::open(directory("timeout"), vec![settings]).await;
    let invocation = api.begin("resize", &listener.hold("slow"));
    let held = listener.accept().await;
    let invoked = invocation.await.unwrap();
    assert_eq!(invoked.function_error(), "Sandbox.Timedout");
    let message = invoked.error_message();
    assert!(
        message.ends_with("Task timed out after 1.50 seconds"),
        "{message}"
    );
    held.ended().await;
    api.targets.stop().await;
}

#[tokio::test]
async fn a_process_that_dies_at_its_start_is_an_error_with_its_first_lines() {
    let script = "for line in $(seq 30); do echo \"why $line\" >&2; done; exit 4";
    let targets = vec![
        target("dies", command(&["sh", "-c", script])),
        target("missing", command(&["no-such-interpreter", "app.handler"])),
        target("without_a_runtime", command(&["true"])),
        target(
            "nowhere",
            LocalTarget::Command {
                command: vec!["sh".to_owned()],
                directory: Some("nope".to_owned()),
                environment: BTreeMap::new(),
            },
        ),
    ];
    let api = Api::open(directory("dies"), targets).await;
    let invoked = api.invoke("dies", &json!({})).await;
    assert_eq!(invoked.function_error(), "Runtime.ExitError");
    let message = invoked.error_message();
    assert!(message.contains("exit status: 4"), "{message}");
    assert!(message.contains("why 1\n"), "{message}");
    assert!(message.ends_with("why 20"), "{message}");

    let invoked = api.invoke("missing", &json!({})).await;
    assert_eq!(invoked.function_error(), "Runtime.InvalidEntrypoint");
    assert_eq!(
        invoked.error_message(),
        "no-such-interpreter: not found in PATH"
    );
    let invoked = api.invoke("nowhere", &json!({})).await;
    assert_eq!(invoked.function_error(), "Runtime.InvalidEntrypoint");
    let message = invoked.error_message();
    assert!(
        message.ends_with("/dies/nope: the target's directory does not exist"),
        "{message}"
    );
    let invoked = api.invoke("without_a_runtime", &json!({})).await;
    assert_eq!(invoked.function_error(), "Runtime.ExitError");
    let message = invoked.error_message();
    assert!(message.contains("Lambda's Runtime API"), "{message}");
    api.targets.stop().await;
}

#[tokio::test]
async fn an_invocation_is_throttled_while_all_ten_processes_are_busy() {
    let listener = ProbeListener::open().await;
    let api = Api::open(directory("throttled"), vec![probe_target("resize")]).await;
    let busy: Vec<_> = (0..10)
        .map(|_| api.begin("resize", &listener.hold("busy")))
        .collect();
    let mut all_held = Vec::new();
    for _ in &busy {
        all_held.push(listener.accept().await);
    }
    let refused = api.invoke("resize", &json!({})).await;
    refused.is_error(429, "TooManyRequestsException");
    assert_eq!(refused.retry_after.as_deref(), Some("1"));
    drop(all_held);
    for invocation in busy {
        assert_eq!(invocation.await.unwrap().status, 200);
    }
    assert_eq!(api.invoke("resize", &json!({})).await.status, 200);
    api.targets.stop().await;
}

#[tokio::test]
async fn what_lambda_refuses_is_refused_before_the_function_is_invoked() {
    let api = Api::open(
        directory("refused"),
        vec![probe_target("resize"), target("elsewhere", None)],
    )
    .await;
    let large = vec![b' '; PAYLOAD_MAX_BYTES + 1];
    let refused = invoked(api.request("resize", large)).await;
    refused.is_error(413, "RequestTooLargeException");
    let refused = invoked(api.request("resize", "{")).await;
    refused.is_error(400, "InvalidRequestContentException");
    let event = api.request("resize", "{}");
    let refused = invoked(event.header("x-amz-invocation-type", "Event")).await;
    refused.is_error(400, "InvalidParameterValueException");

    let refused = api.invoke("elsewhere", &json!({})).await;
    refused.is_error(404, "ResourceNotFoundException");
    let message = refused.body["message"].as_str().unwrap();
    assert!(message.contains("image.resize 1.2.0"), "{message}");
    assert!(message.contains("\"local\""), "{message}");
    api.targets.stop().await;
}

#[tokio::test]
async fn an_endpoint_gets_the_invocation_by_the_bare_name_and_its_response_is_passed_on() {
    let routes = Router::new().route(
        "/2015-03-31/functions/{name}/invocations",
        post(
            async |Path(name): Path<String>, event: Bytes| match event.as_ref() {
                b"{}" => (StatusCode::OK, [("x-other", "")], format!(r#""{name}""#)),
                b"1" => {
                    let error = [("x-amz-function-error", "Unhandled")];
                    (StatusCode::OK, error, r#"{"errorType":"Oops"}"#.to_owned())
                }
                _ => {
                    let error = [("x-amzn-errortype", "TooManyRequestsException")];
                    let body = r#"{"message":"later","Message":"later"}"#.to_owned();
                    (StatusCode::TOO_MANY_REQUESTS, error, body)
                }
            },
        ),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let local = LocalTarget::Endpoint(endpoint);
    let api = Api::open(directory("endpoint"), vec![target("resize:live", local)]).await;

    assert_eq!(api.invoke("resize:live", &json!({})).await.body, "resize");
    let failed = api.invoke("resize:live", &json!(1)).await;
    assert_eq!(failed.function_error(), "Oops");
    let refused = api.invoke("resize:live", &json!(2)).await;
    refused.is_error(429, "TooManyRequestsException");

    server.abort();
    let _ = server.await;
    let refused = api.invoke("resize:live", &json!({})).await;
    refused.is_error(502, "ResourceNotReadyException");
}

#[tokio::test]
async fn a_changed_target_gets_new_processes_and_a_busy_one_ends_after_its_invocation() {
    let listener = ProbeListener::open().await;
    let [kept, changed, removed] = ["kept", "changed", "removed"].map(probe_target);
    let all = vec![kept.clone(), changed.clone(), removed];
    let api = Api::open(directory("replaced"), all).await;
    let mut process_ids = Vec::new();
    for name in ["kept", "removed"] {
        let invocation = api.begin(name, &listener.hold("first"));
        process_ids.push(listener.accept().await.process_id);
        invocation.await.unwrap();
    }
    let busy = api.begin("changed", &listener.hold("busy"));
    let held = listener.accept().await;

    let changed = TargetSettings {
        timeout: Duration::from_secs(19),
        ..changed
    };
    api.targets.replace(vec![kept, changed], Vec::new());
    let invocation = api.begin("kept", &listener.hold("again"));
    assert_eq!(listener.accept().await.process_id, process_ids[0]);
    invocation.await.unwrap();
    let refused = api.invoke("removed", &json!({})).await;
    refused.is_error(404, "ResourceNotFoundException");
    let new = api.begin("changed", &listener.hold("new"));
    let new_held = listener.accept().await;
    assert_ne!(new_held.process_id, held.process_id);
    let old_process_id = held.process_id;
    drop((held, new_held));
    assert_eq!(busy.await.unwrap().body, old_process_id);
    assert_eq!(new.await.unwrap().status, 200);
    soon("the end of both old processes", async {
        let is_running = |id: u64| std::path::Path::new(&format!("/proc/{id}")).exists();
        while [process_ids[1], old_process_id].into_iter().any(is_running) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    api.targets.stop().await;
}

#[tokio::test]
async fn a_target_is_replaced_when_a_file_of_its_handler_has_changed() {
    let listener = ProbeListener::open().await;
    let directory = directory("changed_files");
    for new in ["lib", ".venv", "__pycache__"] {
        std::fs::create_dir(directory.join(new)).unwrap();
    }
    let later = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 33);
    let write = |name: &str| {
        let file = std::fs::File::create(directory.join(name)).unwrap();
        file.set_modified(later).unwrap();
    };
    let settings = probe_target("resize");
    let api = Api::open(directory.clone(), vec![settings.clone()]).await;
    let process_id = async || {
        let invocation = api.begin("resize", &listener.hold("invoked"));
        let process_id = listener.accept().await.process_id;
        invocation.await.unwrap();
        process_id
    };
    let first = process_id().await;

    for ignored in [
        ".venv/app.py",
        "__pycache__/app.pyc",
        "functions.json",
        "output.log",
    ] {
        write(ignored);
        assert_eq!(api.targets.replace_changed(), [], "{ignored}");
    }
    assert_eq!(process_id().await, first);
    write("lib/app.py");
    assert_eq!(api.targets.replace_changed(), [settings]);
    assert_eq!(api.targets.replace_changed(), []);
    assert_ne!(process_id().await, first);
}
