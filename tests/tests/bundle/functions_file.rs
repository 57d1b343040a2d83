//! Functions that the functions file registers, with the functions' processes and a target behind
//! another program's Invoke API.

use std::path::Path;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use serde_json::{Value, json};
use tests::wait::soon;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::local_program::{LocalProgram, answer};

fn write(path: &Path, version: &str, endpoint: &str) {
    let file = json!({"format": 1, "functions": [{
        "name": "image.resize",
        "version": version,
        "description": "Resizes an image.",
        "arguments_schema": {"type": "object", "required": ["width"]},
        "target": {"lambda": {"function": "resize:live"}, "local": {"endpoint": endpoint}},
    }]});
    // Renamed, so that the program never reads half of it.
    let new = path.with_extension("new");
    std::fs::write(&new, file.to_string()).unwrap();
    std::fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn a_registered_function_answers_and_a_changed_file_takes_effect_without_a_restart() {
    let routes = Router::new().route(
        "/2015-03-31/functions/resize/invocations",
        post(async |event: Bytes| event),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut target = JoinSet::new();
    target.spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("registered.json");
    write(&path, "1.0.0", &endpoint);

    let options = ["--functions-file", path.to_str().unwrap()];
    let mut local = LocalProgram::start(&options, &[]).await;
    for version in ["1.0.0", "1.1.0"] {
        write(&path, version, &endpoint);
        let line = format!("target image.resize {version}: {endpoint}");
        soon("the target", async {
            while local.stdout.next_line().await.unwrap().unwrap() != line {}
        })
        .await;
        let submit = |arguments: Value| {
            let body = json!({"function": "image.resize", "arguments": arguments});
            local.post("/operations", &body).header("prefer", "wait=10")
        };
        let (status, operation) = answer(submit(json!({"width": 10}))).await;
        assert_eq!(
            (status, &operation["status"]),
            (200, &json!("completed")),
            "{operation}"
        );
        assert_eq!(operation["version"], version);
        let attempt = &operation["result"]["data"];
        assert_eq!(attempt["operation_id"], operation["id"]);
        assert_eq!(attempt["version"], version);
        assert_eq!(attempt["arguments"], json!({"width": 10}));
        let (_, listed) = answer(local.get_console("/api/functions")).await;
        let listed = listed["functions"].as_array().unwrap();
        let function = listed.iter().find(|one| one["name"] == "image.resize");
        let function = function.unwrap();
        assert_eq!(function["version"], version);
        assert_eq!(function["target"], "resize:live");
        assert_eq!(function["side_effects"], json!(["update"]));
        let (status, problem) = answer(submit(json!({}))).await;
        assert_eq!(
            (status, &problem["code"]),
            (400, &json!("INVALID_ARGUMENTS"))
        );
    }
    assert_eq!(local.stop().await, "");
}
