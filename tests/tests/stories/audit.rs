//! The audit record: one line for each cancel, erase, redelivery and redrive, with the code that
//! its caller got.

use std::time::Duration;

use serde_json::{Value, json};
use tests::logs::Logged;
use tests::wire::Fault;
use tests::world::{Response, World};

use super::forrst::{CANCEL, envelope};

/// The code of a response's error; `done` for a success.
fn outcome(response: &Response) -> &str {
    let code = match &response.json["errors"][0]["code"] {
        Value::Null => &response.json["code"],
        code => code,
    };
    code.as_str().unwrap_or("done")
}

#[tokio::test]
async fn the_audit_record_has_the_code_of_the_response() {
    let world = World::start().await;
    let echo = json!({"function": "demo.echo"});
    let completed = world.submit(echo.clone()).await.json["id"].clone();
    let failed = world.submit(json!({"function": "demo.fail"})).await.json["id"].clone();
    world.pump_all().await;
    let pending = world.submit(echo).await.json["id"].clone();
    let absent = json!("op_000000000000000000000000");
    let stale: &[_] = &[("if-match", "\"1.1.1\"")];
    let fault = Some(Fault::AccessDenied);
    let logged = Logged::start();
    for (id, action, headers, fault, expected) in [
        (&completed, "cancel", &[][..], None, "ASYNC_CANNOT_CANCEL"),
        (&completed, "forrst", &[], None, "ASYNC_CANNOT_CANCEL"),
        (&pending, "cancel", stale, None, "ASYNC_VERSION_CONFLICT"),
        (&pending, "cancel", &[], fault, "UNAVAILABLE"),
        (&pending, "forrst", &[], fault, "UNAVAILABLE"),
        (&pending, "erase", &[], None, "CONFLICT"),
        (&pending, "redeliver", &[], None, "CONFLICT"),
        (&pending, "forrst", &[], None, "done"),
        (&pending, "cancel", &[], None, "done"),
        (&pending, "forrst", &[], None, "ASYNC_CANNOT_CANCEL"),
        (&pending, "redeliver", stale, None, "ASYNC_VERSION_CONFLICT"),
        (&pending, "redeliver", &[], fault, "UNAVAILABLE"),
        (&pending, "erase", stale, None, "ASYNC_VERSION_CONFLICT"),
        (&pending, "erase", &[], fault, "UNAVAILABLE"),
        (&pending, "erase", &[], None, "done"),
        (&pending, "erase", &[], None, "ASYNC_OPERATION_NOT_FOUND"),
        (&absent, "cancel", &[], None, "ASYNC_OPERATION_NOT_FOUND"),
        (&absent, "forrst", &[], None, "ASYNC_OPERATION_NOT_FOUND"),
        (&absent, "redeliver", &[], None, "ASYNC_OPERATION_NOT_FOUND"),
        (&absent, "redrive", &[], None, "ASYNC_OPERATION_NOT_FOUND"),
        (&completed, "redrive", &[], None, "CONFLICT"),
        (&failed, "redrive", stale, None, "ASYNC_VERSION_CONFLICT"),
        (&failed, "redrive", &[], fault, "UNAVAILABLE"),
        (&failed, "redrive", &[], None, "done"),
        (&failed, "redrive", &[], None, "done"),
        (&completed, "bad redrive", &[], None, "INVALID_ARGUMENTS"),
        (
            &failed,
            "bad redrive",
            stale,
            None,
            "ASYNC_VERSION_CONFLICT",
        ),
        (&failed, "bad redrive", &[], fault, "UNAVAILABLE"),
        (
            &absent,
            "bad redrive",
            &[],
            None,
            "ASYNC_OPERATION_NOT_FOUND",
        ),
    ] {
        let of_operation = json!({ "operation_id": id });
        let id = id.as_str().unwrap();
        let (method, path, body, audited) = match action {
            "forrst" => {
                let body = envelope(CANCEL, &of_operation, &json!([]));
                ("POST", "/forrst".to_owned(), body, "cancel")
            }
            "erase" => ("DELETE", format!("/operations/{id}"), String::new(), action),
            "bad redrive" => {
                let (path, body) = (format!("/operations/{id}/redrive"), r#"{"from":"x"}"#);
                ("POST", path, body.to_owned(), "redrive")
            }
            _ => {
                let path = format!("/operations/{id}/{action}");
                ("POST", path, String::new(), action)
            }
        };
        // A cancel of the same millisecond counts as this one's own.
        world.clock.advance(Duration::from_millis(1));
        world.wire.reset();
        world.wire.plan(fault.map(|fault| (0, fault)));
        let _ = logged.take();
        let response = world.request(method, &path, headers, &body).await;
        assert_eq!(outcome(&response), expected, "{id} {action} {headers:?}");
        let lines = logged.take();
        let lines: Vec<_> = lines
            .iter()
            .filter(|line| line.contains("owner's request"))
            .collect();
        let [line] = lines.as_slice() else {
            panic!("{id} {action} {headers:?}: {lines:?}");
        };
        let members = format!(
            r#"audit="{audited}" operation_id={id} owner="local:alice" outcome="{expected}""#
        );
        assert!(line.ends_with(&members), "{line} is not {members}");
    }
}
