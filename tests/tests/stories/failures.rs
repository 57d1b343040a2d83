//! How a failure of the store or a queue is logged.

use serde_json::json;
use tests::logs::Logged;
use tests::wire::Fault;
use tests::world::World;

use super::forrst::{CANCEL, HEALTH, LIST, STATUS, envelope};

/// An operator who counts errors must neither miss one nor find it twice.
#[tokio::test]
async fn a_failed_request_logs_one_error_with_its_cause() {
    let world = World::start().await;
    let submitted = world.submit(json!({"function": "demo.echo"})).await;
    world.pump_all().await;
    let id = submitted.json["id"].as_str().unwrap();
    let of_operation = json!({ "operation_id": id });
    let call = |function: &str, arguments| envelope(function, arguments, &json!([]));
    let path = |action: &str| format!("/operations/{id}{action}");
    let echo = json!({"function": "demo.echo"}).to_string();
    let requests = [
        ("GET", path(""), String::new()),
        ("GET", "/operations".to_owned(), String::new()),
        ("DELETE", path(""), String::new()),
        ("POST", path("/cancel"), String::new()),
        ("POST", path("/redeliver"), String::new()),
        ("POST", "/operations".to_owned(), echo),
        ("POST", "/forrst".to_owned(), call(STATUS, &of_operation)),
        ("POST", "/forrst".to_owned(), call(CANCEL, &of_operation)),
        ("POST", "/forrst".to_owned(), call(LIST, &json!({}))),
        ("POST", "/forrst".to_owned(), call(HEALTH, &json!({}))),
        ("POST", "/forrst".to_owned(), call("demo.echo", &json!({}))),
    ];
    let logged = Logged::start();
    for (method, path, body) in requests {
        world.wire.reset();
        world.wire.plan([(0, Fault::AccessDenied)]);
        let _ = logged.take();
        let response = world.request(method, &path, &[], &body).await;
        let calls = world.wire.calls();
        assert_eq!(
            response.status, 503,
            "{method} {path} {body}: {}",
            response.text
        );
        let errors = logged.take();
        let errors: Vec<_> = errors
            .iter()
            .filter(|line| line.contains("ERROR"))
            .collect();
        let [error] = errors.as_slice() else {
            panic!("{method} {path} {body}: {errors:?}");
        };
        // The call that failed, and behind it what AWS answered.
        let failed = format!("{} failed (AWS request ", calls[0]);
        let (_, causes) = error.split_once(&failed).expect(error);
        assert!(causes.contains("): "), "{error}");
    }
}
