//! `--aws`, with a server in place of Lambda's API.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::{Directory, RENDER, Run, VALID};

/// The functions whose configurations were requested.
type Requested = Arc<Mutex<Vec<String>>>;

struct Lambda {
    endpoint: String,
    requested: Requested,
}

impl Lambda {
    /// Answers each request for the configuration of a function.
    async fn start(answer: fn(&str) -> Response) -> Self {
        let requested = Requested::default();
        let configuration = async move |State(requested): State<Requested>,
                                        Path(name): Path<String>| {
            let answer = answer(&name);
            requested.lock().unwrap().push(name);
            answer
        };
        let router = Router::new()
            .route(
                "/2015-03-31/functions/{name}/configuration",
                get(configuration),
            )
            .with_state(Arc::clone(&requested));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            endpoint,
            requested,
        }
    }

    async fn check(&self, directory: &Directory, text: &str) -> Run {
        std::fs::write(directory.0.join("functions.json"), text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_operator"))
            .args(["check", "functions.json", "--aws", "--region", "us-east-1"])
            .current_dir(&directory.0)
            .env_clear()
            .env("HOME", &directory.0)
            .env("AWS_ENDPOINT_URL_LAMBDA", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .kill_on_drop(true)
            .output();
        Run::of(output.await.unwrap())
    }
}

fn function(configuration: &Value) -> Response {
    configuration.to_string().into_response()
}

fn error(status: StatusCode, kind: &str) -> Response {
    let body = json!({"Type": "User", "Message": "It says why."});
    (status, [("x-amzn-errortype", kind)], body.to_string()).into_response()
}

#[tokio::test]
async fn each_target_is_asked_for_once() {
    let lambda = Lambda::start(|name| {
        let timeout = if name == RENDER { 55 } else { 295 };
        function(&json!({"FunctionName": "x", "Timeout": timeout, "State": "Active"}))
    });
    let lambda = lambda.await;
    let directory = Directory::new("aws-valid");
    let valid = "functions.json: 2 functions are valid\n";
    lambda.check(&directory, VALID).await.assert(0, valid, "");
    assert_eq!(
        *lambda.requested.lock().unwrap(),
        [RENDER, "image-resize:live"]
    );
    lambda.requested.lock().unwrap().clear();
    let same = VALID.replace("image-resize:live", RENDER);
    lambda.check(&directory, &same).await.assert(0, valid, "");
    assert_eq!(*lambda.requested.lock().unwrap(), [RENDER]);
}

#[tokio::test]
async fn a_target_that_can_outlive_its_attempt_is_an_error() {
    let lambda = Lambda::start(|name| {
        let timeout = if name == RENDER { 56 } else { 900 };
        function(&json!({"Timeout": timeout, "State": "Active"}))
    });
    let expected = format!(
        "\
functions.json:9:26  /functions/0/timeout_seconds  leaves the target 295 seconds, but \
         image-resize:live may run for 900
functions.json:12:5  /functions/1/timeout_seconds  leaves the target 55 seconds, but {RENDER} \
         may run for 56
2 errors
"
    );
    let directory = Directory::new("aws-timeout");
    let lambda = lambda.await;
    let run = lambda.check(&directory, VALID).await;
    run.assert(1, &expected, "");
    // The least timeout of a Lambda function is a second.
    let short = VALID.replace("300", "1");
    let run = lambda.check(&directory, &short).await;
    let expected = "leaves the target 0.5 seconds, but image-resize:live may run for 900\n";
    assert!(run.output.contains(expected), "{}", run.output);
}

#[tokio::test]
async fn a_target_that_does_not_exist_or_is_not_active_is_named() {
    let lambda = Lambda::start(|name| match name {
        RENDER => error(StatusCode::NOT_FOUND, "ResourceNotFoundException"),
        _ => function(&json!({
            "Timeout": 3, "State": "Failed", "StateReason": "The image was deleted.\n",
        })),
    });
    let expected = "\
functions.json:10:43  /functions/0/target/lambda/function  is Failed: The image was deleted.\\u000a
functions.json:18:33  /functions/1/target/lambda/function  does not exist, or lacks this alias or \
         version
2 errors
";
    let directory = Directory::new("aws-missing");
    let run = lambda.await.check(&directory, VALID).await;
    run.assert(1, expected, "");
}

#[tokio::test]
async fn a_target_that_may_work_later_or_for_the_worker_is_a_warning() {
    let lambda = Lambda::start(|name| match name {
        RENDER => error(StatusCode::FORBIDDEN, "AccessDeniedException"),
        _ => function(&json!({"Timeout": 3, "State": "Inactive"})),
    });
    let expected = "\
functions.json:10:43  /functions/0/target/lambda/function  warning: is Inactive
functions.json:18:33  /functions/1/target/lambda/function  warning: is not checked: the \
         credentials do not allow lambda:GetFunctionConfiguration
functions.json: 2 functions are valid, 2 warnings
";
    let directory = Directory::new("aws-warning");
    let run = lambda.await.check(&directory, VALID).await;
    run.assert(0, expected, "");
}

/// The tool does not say that a file is valid when it could not check it.
#[tokio::test]
async fn a_check_that_aws_refuses_ends_with_its_error() {
    let lambda = Lambda::start(|_| error(StatusCode::FORBIDDEN, "UnrecognizedClientException"));
    let directory = Directory::new("aws-refused");
    let run = lambda.await.check(&directory, VALID).await;
    assert_eq!((run.code, &*run.output), (Some(1), ""));
    let start = format!("error: the configuration of {RENDER} cannot be read: ");
    assert!(run.errors.starts_with(&start), "{}", run.errors);
    assert!(run.errors.contains("It says why."), "{}", run.errors);
}

/// The server has no other operation, so the tests above make only such requests.
#[test]
fn the_runbook_lists_the_only_permission_that_the_check_needs() {
    let runbook = include_str!("../../../RUNBOOK.md");
    let row = "\n| `check --aws` | `lambda:GetFunctionConfiguration` on the targets |\n";
    assert!(runbook.contains(row));
}
