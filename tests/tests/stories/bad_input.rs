//! Bad input: every limit at its boundary and one past it. The response has the documented status
//! and code and names the member; it costs no AWS request, and is never a 5xx.

use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Clock as _;
use tests::world::{Response, World};

use super::forrst::call;

/// Submits a body unchanged, and checks what every refusal must have.
async fn submit(world: &World, body: &[u8]) -> Response {
    world.wire.reset();
    let response = world
        .request_of("alice", "POST", "/operations", &[], body)
        .await;
    if response.status >= 400 {
        check_problem(world, &response);
    }
    response
}

fn check_problem(world: &World, response: &Response) {
    assert!(response.status < 500, "{}", response.text);
    assert!(
        world.wire.calls().is_empty(),
        "a refusal made AWS requests: {:?}",
        world.wire.calls()
    );
    assert_eq!(response.headers["content-type"], "application/problem+json");
    assert_eq!(response.headers["cache-control"], "no-store");
    assert_eq!(response.headers["request-id"], "request-1");
    assert_eq!(response.json["request_id"], "request-1");
    assert_eq!(response.json["status"], response.status);
    let code = response.json["code"].as_str().unwrap();
    assert_eq!(response.json["type"], format!("urn:ferry:problem:{code}"));
    assert!(response.json["title"].is_string() && response.json["detail"].is_string());
}

fn pointers(response: &Response) -> Vec<&str> {
    let errors = response.json["errors"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect()
}

async fn refused(world: &World, body: Value, expected: &[&str]) {
    let response = submit(world, body.to_string().as_bytes()).await;
    let head: String = body.to_string().chars().take(200).collect();
    assert_eq!(
        (response.status, &response.json["code"]),
        (400, &json!("INVALID_ARGUMENTS")),
        "{head}: {}",
        response.text
    );
    assert_eq!(pointers(&response), expected, "{head}");
}

async fn accepted(world: &World, body: Value) {
    let response = submit(world, body.to_string().as_bytes()).await;
    let head: String = body.to_string().chars().take(200).collect();
    assert_eq!(response.status, 202, "{head}: {}", response.text);
}

/// REST and Forrst both name the first in order; only REST also says how many there are.
#[tokio::test]
async fn a_response_names_at_most_twenty_errors() {
    let world = World::start().await;
    for (count, detail) in [
        (20, "20 parts of the request are not valid"),
        (
            21,
            "more than 20 parts of the request are not valid; the first 20 are named",
        ),
        (
            20_000,
            "more than 20 parts of the request are not valid; the first 20 are named",
        ),
    ] {
        let numbered = |number| format!("u{number:05}");
        let members: serde_json::Map<_, _> = (0..count)
            .map(|number| (numbered(number), json!(1)))
            .collect();
        let expected = |at: &str| -> Vec<_> {
            (0..20)
                .map(|number| json!(format!("{at}/{}", numbered(number))))
                .collect()
        };

        let mut body = members.clone();
        body.insert("function".to_owned(), json!("demo.echo"));
        let body = json!(body).to_string();
        let unknown = world.request("POST", "/operations", &[], &body).await;
        let arguments = json!({"function": "demo.fail", "arguments": members.clone()});
        let arguments = arguments.to_string();
        let wrong = world.request("POST", "/operations", &[], &arguments).await;
        for (response, at) in [(unknown, ""), (wrong, "/arguments")] {
            assert_eq!(response.json["detail"], detail);
            let errors = response.json["errors"].as_array().unwrap().iter();
            let pointers: Vec<_> = errors.map(|error| error["pointer"].clone()).collect();
            assert_eq!(pointers, expected(at));
        }

        let arguments = Value::Object(members);
        let called = call(&world, "demo.fail", &arguments, &json!([])).await;
        let errors = called.json["errors"].as_array().unwrap().iter();
        let pointers: Vec<_> = errors
            .map(|error| error["source"]["pointer"].clone())
            .collect();
        assert_eq!(pointers, expected("/call/arguments"));
    }
}

#[tokio::test]
async fn an_envelope_with_a_mebibyte_of_unknown_extensions_gets_a_short_response() {
    let world = World::start().await;
    let unknown = (0..27_000).map(|number| json!({"urn": format!("urn:acme:ext:{number}")}));
    let unknown = unknown.collect();
    let response = call(&world, "demo.echo", &json!({}), &unknown).await;
    assert_eq!(response.status, 400);
    let errors = response.json["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["code"], "INVALID_REQUEST");
    assert_eq!(errors[0]["source"]["pointer"], "/extensions");
    assert!(response.text.len() < 8192, "{} bytes", response.text.len());
}

#[tokio::test]
async fn malformed_json_is_a_parse_error_and_anything_but_an_object_an_invalid_request() {
    let world = World::start().await;
    for body in [
        &b""[..],
        b" ",
        b"{",
        b"}",
        b"{\"function\"}",
        b"{\"function\":}",
        b"{'function':1}",
        b"{\"function\":1,}",
        b"nul",
        b"{}{}",
        b"{\"a\":01}",
        b"{\"a\":+1}",
        b"{\"a\":.5}",
        b"{\"a\":1.}",
        b"{\"a\":Infinity}",
        b"{\"a\":\"\t\"}",
        b"{\"a\":\"\\x\"}",
        b"{\"a\":\"\\u12\"}",
        b"\xff\xfe",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"\xef\xbb\xbf{}",
        b"{\"a\":1}//",
    ] {
        let response = submit(&world, body).await;
        let text = String::from_utf8_lossy(body);
        assert_eq!(
            (response.status, &response.json["code"]),
            (400, &json!("PARSE_ERROR")),
            "{text}"
        );
    }
    for body in ["[]", "null", "true", "1", "\"{}\""] {
        let response = submit(&world, body.as_bytes()).await;
        assert_eq!(
            (response.status, &response.json["code"]),
            (400, &json!("INVALID_REQUEST")),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_body_has_a_size_limit_a_content_type_and_no_content_coding() {
    let world = World::start().await;
    let fill = |bytes: usize| {
        let frame = r#"{"function":"demo.echo"}"#;
        format!("{frame}{}", " ".repeat(bytes - frame.len()))
    };
    assert_eq!(
        submit(&world, fill(1024 * 1024).as_bytes()).await.status,
        202
    );
    let large = submit(&world, fill(1024 * 1024 + 1).as_bytes()).await;
    assert_eq!(
        (large.status, &large.json["code"]),
        (413, &json!("INVALID_REQUEST"))
    );
    for header in [
        ("content-type", "text/plain"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-encoding", "gzip"),
    ] {
        world.wire.reset();
        let response = world
            .request(
                "POST",
                "/operations",
                &[header],
                r#"{"function":"demo.echo"}"#,
            )
            .await;
        assert_eq!(
            (response.status, &response.json["code"]),
            (415, &json!("INVALID_REQUEST")),
            "{header:?}"
        );
        check_problem(&world, &response);
    }
}

#[tokio::test]
async fn each_member_is_checked_and_every_wrong_one_is_named() {
    let world = World::with([("CALLBACK_ALLOWED_NETWORKS", "")]).await;
    for (name, wrong) in [
        (
            "function",
            vec![
                json!(null),
                json!(1),
                json!([]),
                json!(""),
                json!(".a"),
                json!("a b"),
                json!("ä"),
                json!("a".repeat(256)),
            ],
        ),
        (
            "version",
            vec![
                json!(1),
                json!(""),
                json!("1"),
                json!("1.0"),
                json!("v1.0.0"),
                json!("01.0.0"),
            ],
        ),
        ("arguments", vec![json!([]), json!("{}"), json!(1)]),
        ("metadata", vec![json!([]), json!("{}"), json!(false)]),
        (
            "callback_url",
            vec![
                json!(1),
                json!(""),
                json!("http://example.com/"),
                json!("https://localhost/"),
            ],
        ),
        (
            "callback_events",
            vec![json!("failed"), json!([]), json!(["done"]), json!([1])],
        ),
        (
            "ttl_seconds",
            vec![
                json!("60"),
                json!(59),
                json!(604_801),
                json!(60.5),
                json!(-60),
            ],
        ),
        (
            "deadline_seconds",
            vec![json!("1"), json!(0), json!(604_801), json!(1.5), json!(-1)],
        ),
    ] {
        for value in wrong {
            refused(&world, echo_with(name, value), &[&format!("/{name}")]).await;
        }
    }
    for (name, right) in [
        ("version", vec![json!("1.0.0")]),
        (
            "callback_events",
            vec![json!(["failed"]), json!(["failed", "failed"])],
        ),
        ("ttl_seconds", vec![json!(60), json!(604_800)]),
        ("deadline_seconds", vec![json!(1), json!(604_800)]),
    ] {
        for value in right {
            accepted(&world, echo_with(name, value)).await;
        }
    }
    refused(&world, json!({}), &["/function"]).await;
    refused(
        &world,
        json!({"function": "demo.echo", "callback_events": ["failed"]}),
        &["/callback_events"],
    )
    .await;
    let several = json!({"function": 1, "arguments": 2, "ttl_seconds": 3, "b": 4, "a/~": 5});
    refused(
        &world,
        several,
        &["/function", "/arguments", "/ttl_seconds", "/a~1~0", "/b"],
    )
    .await;
}

/// A submit with a callback and this member.
fn echo_with(name: &str, value: Value) -> Value {
    let mut body = json!({"function": "demo.echo", "callback_url": "https://example.com/"});
    body[name] = value;
    body
}

#[tokio::test]
async fn a_start_is_checked_and_named_by_one_member() {
    let world = World::with([("CALLBACK_ALLOWED_NETWORKS", "")]).await;
    for (name, wrong) in [
        (
            "start_after_seconds",
            vec![
                json!("1"),
                json!(604_801),
                json!(0.5),
                json!(-1),
                json!(true),
            ],
        ),
        (
            "start_at",
            vec![
                json!(1_800_000_060),
                json!(""),
                json!("tomorrow"),
                json!("2027-01-16"),
                json!("2027-01-16T08:00:00"),
                json!("2027-01-22T08:00:00.001Z"),
                json!("9999-12-31T23:59:59Z"),
            ],
        ),
    ] {
        for value in wrong {
            refused(&world, echo_with(name, value), &[&format!("/{name}")]).await;
        }
    }
    for (name, right) in [
        (
            "start_after_seconds",
            vec![json!(0), json!(1), json!(604_800)],
        ),
        (
            "start_at",
            vec![
                json!("2027-01-22T08:00:00Z"),
                json!("2027-01-22T09:00:00.000+01:00"),
                json!("2020-01-01T00:00:00Z"),
            ],
        ),
    ] {
        for value in right {
            accepted(&world, echo_with(name, value)).await;
        }
    }
    for start_after in [json!(0), json!("never")] {
        let both = json!({
            "function": "demo.echo", "start_after_seconds": start_after,
            "start_at": "2027-01-16T08:00:00Z",
        });
        let response = submit(&world, both.to_string().as_bytes()).await;
        let error = json!({
            "pointer": "/start_at",
            "detail": "must be left out when start_after_seconds is given",
        });
        assert_eq!(response.json["errors"], json!([error]));
    }
}

#[tokio::test]
async fn each_member_of_a_redrive_is_checked_and_every_wrong_one_is_named() {
    let world = World::start().await;
    let accepted = world.submit(json!({"function": "demo.fail"})).await;
    world.drain().await;
    let id = accepted.json["id"].as_str().unwrap();
    let path = format!("/operations/{id}/redrive");
    let redrive = async |body: &str| {
        world.wire.reset();
        let response = world.request("POST", &path, &[], body).await;
        if response.status >= 400 {
            // For the preconditions, which come before the body.
            assert_eq!(world.wire.calls(), ["GetItem"]);
            world.wire.reset();
            check_problem(&world, &response);
        }
        response
    };
    for (name, wrong) in [
        (
            "from",
            vec![json!(1), json!("State"), json!(""), json!(["start"])],
        ),
        (
            "ttl_seconds",
            vec![json!("60"), json!(59), json!(604_801), json!(60.5)],
        ),
        (
            "deadline_seconds",
            vec![json!(0), json!(604_801), json!(1.5), json!(-1)],
        ),
        ("start_after_seconds", vec![json!(1)]),
        ("arguments", vec![json!({})]),
    ] {
        for value in wrong {
            let response = redrive(&json!({ name: value }).to_string()).await;
            assert_eq!(response.status, 400, "{name} {value}: {}", response.text);
            assert_eq!(response.json["code"], "INVALID_ARGUMENTS");
            assert_eq!(pointers(&response), [format!("/{name}")], "{value}");
        }
    }
    let several = redrive(r#"{"from":1,"ttl_seconds":2,"b":3}"#).await;
    assert_eq!(pointers(&several), ["/from", "/ttl_seconds", "/b"]);
    for (body, code) in [("{", "PARSE_ERROR"), ("[]", "INVALID_REQUEST")] {
        assert_eq!(redrive(body).await.json["code"], code, "{body}");
    }
    let large = redrive(&" ".repeat(1024 * 1024 + 1)).await;
    assert_eq!(large.status, 413);
    let text = world.request("POST", &path, &[("content-type", "text/plain")], "{}");
    assert_eq!(text.await.status, 415);
    for body in [
        r#"{"from":null,"ttl_seconds":null,"deadline_seconds":null}"#,
        r#"{"ttl_seconds":60,"deadline_seconds":1}"#,
        r#"{"ttl_seconds":604800,"deadline_seconds":604800}"#,
        "{}",
        "",
    ] {
        let response = redrive(body).await;
        assert_eq!(response.status, 202, "{body}: {}", response.text);
    }
    // A malformed id is as absent as an unknown one, and costs no read.
    world.wire.reset();
    let malformed = world.request("POST", "/operations/op_1/redrive", &[], "{}");
    let malformed = malformed.await;
    assert_eq!(malformed.json["code"], "ASYNC_OPERATION_NOT_FOUND");
    check_problem(&world, &malformed);
}

#[tokio::test]
async fn an_optional_member_that_is_null_counts_as_absent() {
    let world = World::start().await;
    let nulls = json!({
        "function": "demo.echo", "version": null, "arguments": null, "metadata": null,
        "callback_url": null, "callback_events": null, "ttl_seconds": null,
        "start_after_seconds": null, "start_at": null, "deadline_seconds": null,
    });
    let sent = |body: Value| {
        let (world, key) = (&world, [("idempotency-key", "k")]);
        async move {
            let body = body.to_string();
            world.request("POST", "/operations", &key, &body).await
        }
    };
    let with_nulls = sent(nulls).await;
    assert_eq!(with_nulls.status, 202, "{}", with_nulls.text);
    // It is the same request, so the key does not conflict.
    let without = sent(json!({"function": "demo.echo"})).await;
    assert_eq!(without.status, 202, "{}", without.text);
    assert_eq!(without.json, with_nulls.json);

    let unknown = json!({"function": "demo.echo", "other": null});
    refused(&world, unknown, &["/other"]).await;
    let events = json!({
        "function": "demo.echo", "callback_url": null, "callback_events": ["failed"],
    });
    refused(&world, events, &["/callback_events"]).await;
    for text in [
        r#""ttl_seconds":null,"ttl_seconds":60"#,
        r#""version":null,"version":null"#,
    ] {
        let body = format!(r#"{{"function":"demo.echo",{text}}}"#);
        assert_eq!(submit(&world, body.as_bytes()).await.status, 400, "{text}");
    }
}

#[tokio::test]
async fn a_whole_number_may_have_any_spelling_of_json() {
    let world = World::start().await;
    for (number, secs) in [
        ("60", Some(60)),
        ("60.0", Some(60)),
        ("6e1", Some(60)),
        ("6E+1", Some(60)),
        ("600e-1", Some(60)),
        ("0.6e2", Some(60)),
        ("604800.000", Some(604_800)),
        ("604800.0000000000000000000000000001", None),
        ("60.5", None),
        ("59.99999999999999999999999999999999", None),
        ("6e0", None),
        ("-0.0", None),
        ("-60.0", None),
        ("1e400", None),
        ("1e-400", None),
        ("\"60\"", None),
    ] {
        for member in ["ttl_seconds", "deadline_seconds"] {
            let body = format!(r#"{{"function":"demo.echo","{member}":{number}}}"#);
            let response = submit(&world, body.as_bytes()).await;
            if member == "deadline_seconds" && number == "6e0" {
                assert_eq!(response.status, 202, "{body}: {}", response.text);
                continue;
            }
            let Some(secs) = secs else {
                assert_eq!(pointers(&response), [format!("/{member}")], "{body}");
                continue;
            };
            assert_eq!(response.status, 202, "{body}: {}", response.text);
            if member == "deadline_seconds" {
                let deadline_at = world.clock.now() + Duration::from_secs(secs);
                assert_eq!(
                    response.json["deadline_at"],
                    deadline_at.to_string(),
                    "{body}"
                );
            }
        }
    }
}

#[tokio::test]
async fn payloads_and_callback_urls_have_size_limits() {
    let world = World::start().await;
    let text = |bytes: usize| json!({"t": "x".repeat(bytes - r#"{"t":""}"#.len())});
    accepted(
        &world,
        json!({"function": "demo.echo", "arguments": text(256 * 1024)}),
    )
    .await;
    refused(
        &world,
        json!({"function": "demo.echo", "arguments": text(256 * 1024 + 1)}),
        &["/arguments"],
    )
    .await;
    accepted(
        &world,
        json!({"function": "demo.echo", "metadata": text(65_536)}),
    )
    .await;
    refused(
        &world,
        json!({"function": "demo.echo", "metadata": text(65_537)}),
        &["/metadata"],
    )
    .await;
    // White space does not count.
    let spread = format!(
        r#"{{"function":"demo.echo","metadata":{{{}"t":1}}}}"#,
        " ".repeat(70_000)
    );
    assert_eq!(submit(&world, spread.as_bytes()).await.status, 202);
    let url = |characters: usize| format!("https://example.com/{}", "x".repeat(characters - 20));
    accepted(
        &world,
        json!({"function": "demo.echo", "callback_url": url(2048)}),
    )
    .await;
    refused(
        &world,
        json!({"function": "demo.echo", "callback_url": url(2049)}),
        &["/callback_url"],
    )
    .await;
}

#[tokio::test]
async fn deep_nesting_duplicates_and_broken_text_are_refused_with_a_pointer() {
    let world = World::start().await;
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"function":"demo.echo","arguments":{{"a":{open}{close}}}}}"#)
    };
    assert_eq!(submit(&world, nested(62).as_bytes()).await.status, 202);
    for (body, pointer) in [
        (nested(63), format!("/arguments/a{}", "/0".repeat(62))),
        (
            r#"{"function":"demo.echo","function":"demo.echo"}"#.to_owned(),
            "/function".to_owned(),
        ),
        (
            r#"{"function":"demo.echo","arguments":{"a":[{"b":1,"b":1}]}}"#.to_owned(),
            "/arguments/a/0/b".to_owned(),
        ),
        (
            r#"{"function":"demo.echo","metadata":{"a":"\ud800"}}"#.to_owned(),
            "/metadata/a".to_owned(),
        ),
    ] {
        let response = submit(&world, body.as_bytes()).await;
        assert_eq!(
            (response.status, &response.json["code"]),
            (400, &json!("INVALID_ARGUMENTS")),
            "{}",
            response.text
        );
        assert_eq!(pointers(&response), [pointer]);
    }
    let bomb = "[".repeat(500_000);
    assert_eq!(
        submit(&world, bomb.as_bytes()).await.json["code"],
        "PARSE_ERROR"
    );
    let bomb = format!(r#"{{"a":{}{}}}"#, "[".repeat(400_000), "]".repeat(400_000));
    assert_eq!(
        submit(&world, bomb.as_bytes()).await.json["code"],
        "INVALID_ARGUMENTS"
    );
}

/// In REST and in Forrst.
#[tokio::test]
async fn every_error_in_arguments_has_a_pointer_and_a_plain_message() {
    let world = World::start().await;
    for (function, arguments, expected) in [
        (
            "demo.countdown",
            json!({"step_ms": -1.5, "extra/member": null}),
            vec![
                "/extra~1member is not a known member",
                "/step_ms must be a whole number",
                "/step_ms must be at least 0",
                "/steps is required",
            ],
        ),
        (
            "demo.fail",
            json!({"code": 7, "retryable": "yes", "succeed_on_attempt": 5e9, "mode": "nap"}),
            vec![
                "/code must be a string or null",
                "/mode must be one of \"error\", \"panic\", \"exit\", \"hang\"",
                "/retryable must be true or false or null",
                "/succeed_on_attempt must be at most 4294967295",
            ],
        ),
    ] {
        let rest = json!({"function": function, "arguments": arguments});
        let response = submit(&world, rest.to_string().as_bytes()).await;
        assert_eq!(
            response.json["code"], "INVALID_ARGUMENTS",
            "{}",
            response.text
        );
        let errors = response.json["errors"].as_array().unwrap().iter();
        let errors = errors.map(|error| {
            let [pointer, detail] = ["pointer", "detail"].map(|name| error[name].as_str().unwrap());
            format!("{} {detail}", pointer.strip_prefix("/arguments").unwrap())
        });
        let mut errors: Vec<_> = errors.collect();
        errors.sort();
        assert_eq!(errors, expected);

        let forrst = call(&world, function, &arguments, &json!([])).await;
        let errors = forrst.json["errors"].as_array().unwrap().iter();
        let errors = errors.map(|error| {
            let [code, message] = ["code", "message"].map(|name| error[name].as_str().unwrap());
            assert_eq!(code, "INVALID_ARGUMENTS");
            let pointer = error["source"]["pointer"].as_str().unwrap();
            assert!(message.starts_with(pointer), "{message}");
            message.strip_prefix("/call/arguments").unwrap().to_owned()
        });
        let mut errors: Vec<_> = errors.collect();
        errors.sort();
        assert_eq!(errors, expected);
    }
    assert!(!world.wire.counts().contains_key("PutItem"));
}

#[tokio::test]
async fn functions_versions_and_arguments_are_checked_before_anything_is_written() {
    let world = World::start().await;
    for (body, status, code) in [
        (json!({"function": "no.such"}), 404, "FUNCTION_NOT_FOUND"),
        (
            json!({"function": "a".repeat(255)}),
            404,
            "FUNCTION_NOT_FOUND",
        ),
        (
            json!({"function": "demo.echo", "version": "2.0.0"}),
            404,
            "VERSION_NOT_FOUND",
        ),
    ] {
        let response = submit(&world, body.to_string().as_bytes()).await;
        assert_eq!(
            (response.status, &response.json["code"]),
            (status, &json!(code))
        );
    }
    let versions = submit(&world, br#"{"function":"demo.echo","version":"2.0.0"}"#).await;
    assert!(versions.json["detail"].as_str().unwrap().contains("1.0.0"));
    for (function, arguments, pointer) in [
        ("csv.summarize", json!({}), "/arguments/csv"),
        ("csv.summarize", json!({"csv": 1}), "/arguments/csv"),
        (
            "csv.summarize",
            json!({"csv": "", "header": true}),
            "/arguments/header",
        ),
        (
            "demo.countdown",
            json!({"steps": 0, "step_ms": 1}),
            "/arguments/steps",
        ),
        (
            "demo.countdown",
            json!({"steps": 1, "step_ms": -1}),
            "/arguments/step_ms",
        ),
        ("demo.fail", json!({"mode": "nap"}), "/arguments/mode"),
    ] {
        refused(
            &world,
            json!({"function": function, "arguments": arguments}),
            &[pointer],
        )
        .await;
    }
}

#[tokio::test]
async fn an_idempotency_key_is_printable_and_not_too_long() {
    let world = World::start().await;
    let body = r#"{"function":"demo.echo"}"#;
    let long = "k".repeat(256);
    for key in ["", "\"\"", "\"k", "Zoë", "a\u{7f}", long.as_str()] {
        world.wire.reset();
        let response = world
            .request("POST", "/operations", &[("idempotency-key", key)], body)
            .await;
        assert_eq!(
            (response.status, pointers(&response)),
            (400, vec!["/headers/idempotency-key"]),
            "{key}"
        );
        check_problem(&world, &response);
    }
    // The other errors are named as well.
    world.wire.reset();
    let faulty = concat!(
        r#"{"function":"demo.countdown","colour":1,"ttl_seconds":1,"#,
        r#""arguments":{"steps":0,"step_ms":1}}"#
    );
    let response = world
        .request("POST", "/operations", &[("idempotency-key", "")], faulty)
        .await;
    let expected = [
        "/headers/idempotency-key",
        "/ttl_seconds",
        "/colour",
        "/arguments/steps",
    ];
    assert_eq!(
        (response.status, pointers(&response)),
        (400, expected.to_vec())
    );
    check_problem(&world, &response);
    let response = world
        .request(
            "POST",
            "/operations",
            &[("idempotency-key", &long[1..])],
            body,
        )
        .await;
    assert_eq!(response.status, 202);
}

#[tokio::test]
async fn every_query_parameter_is_checked() {
    let world = World::start().await;
    for (query, pointer) in [
        ("limit=0", "/query/limit"),
        ("limit=101", "/query/limit"),
        ("limit=ten", "/query/limit"),
        ("status=done", "/query/status"),
        ("created_after=2026-01-01", "/query/created_after"),
        ("cursor=AAAA", "/query/cursor"),
        ("cursor=%ff", "/query/cursor"),
        ("page=2", "/query/page"),
    ] {
        world.wire.reset();
        let response = world
            .request("GET", &format!("/operations?{query}"), &[], "")
            .await;
        assert_eq!(
            (response.status, pointers(&response)),
            (400, vec![pointer]),
            "{query}"
        );
        check_problem(&world, &response);
    }
}

#[tokio::test]
async fn the_error_of_a_callback_url_says_what_is_wrong_and_not_why_a_host_is_refused() {
    let networks = "127.0.0.0/8";
    for allowed in ["", networks] {
        let world = World::with([("CALLBACK_ALLOWED_NETWORKS", allowed)]).await;
        for (url, detail) in [
            ("https://10.0.0.1/", "must have a public host"),
            ("https://169.254.169.254/", "must have a public host"),
            ("https://0x7f.1/", "must have a public host"),
            (
                "https://metadata.google.internal/",
                "must have a public host",
            ),
            ("https://exam_ple.com/", "must have a public host"),
            ("http://10.0.0.1/", "must be an https URL"),
            ("ftp://example.com/", "must be an https URL"),
            ("https://example.com/#x", "must not have a fragment (#)"),
        ] {
            let rest = json!({"function": "demo.echo", "callback_url": url}).to_string();
            let response = submit(&world, rest.as_bytes()).await;
            assert_eq!(pointers(&response), ["/callback_url"], "{url}");
            assert_eq!(response.json["errors"][0]["detail"], detail, "{url}");

            let forrst = json!({
                "protocol": {"name": "forrst", "version": "0.1.0"}, "id": "r",
                "call": {"function": "demo.echo"},
                "extensions": [{"urn": "urn:forrst:ext:webhook", "options": {"callback_url": url}}],
            });
            let response = world
                .request("POST", "/forrst", &[], &forrst.to_string())
                .await;
            let pointer = "/extensions/0/options/callback_url";
            assert_eq!(response.json["errors"][0]["source"]["pointer"], pointer);
            let message = format!("{pointer} {detail}");
            assert_eq!(response.json["errors"][0]["message"], message, "{url}");
        }
    }
}

mod arbitrary {
    //! Every request body gets a documented response.

    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    fn member() -> impl Strategy<Value = (String, String)> {
        let name = prop_oneof![
            Just("function"),
            Just("version"),
            Just("arguments"),
            Just("metadata"),
            Just("callback_url"),
            Just("callback_events"),
            Just("ttl_seconds"),
            Just("deadline_seconds"),
            Just("other"),
        ];
        let value = prop_oneof![
            Just(r#""demo.echo""#.to_owned()),
            Just("{}".to_owned()),
            Just("null".to_owned()),
            Just("60".to_owned()),
            Just(r#"["failed"]"#.to_owned()),
            Just(r#""https://example.com/""#.to_owned()),
            "\\PC{0,20}",
            "[0-9eE.+-]{1,8}",
            r#""[^"\\]{0,20}""#,
        ];
        (name.prop_map(str::to_owned), value)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn every_body_gets_a_documented_status() {
        let world = World::start().await;
        let mut runner = TestRunner::new(Config::with_cases(300));
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            runner
                .run(
                    &(proptest::collection::vec(member(), 0..6), "\\PC{0,4}"),
                    |(members, junk)| {
                        let members: Vec<_> = members
                            .iter()
                            .map(|(name, value)| format!(r#""{name}":{value}"#))
                            .collect();
                        let body = format!("{{{}}}{junk}", members.join(","));
                        let response = runtime.block_on(submit(&world, body.as_bytes()));
                        prop_assert!(
                            matches!(response.status, 202 | 400 | 404),
                            "{body}: {}",
                            response.text
                        );
                        Ok(())
                    },
                )
                .unwrap();
        });
    }
}

#[tokio::test]
async fn legs_and_waits_are_whole_and_within_their_bounds() {
    let world = World::start().await;
    let long = |legs: Value, wait: Value| json!({"function": "demo.long", "arguments": {"legs": legs, "wait_seconds": wait}});
    for (legs, wait) in [(1, 0), (10_000, 604_800)] {
        let body = long(json!(legs), json!(wait)).to_string();
        assert_eq!(submit(&world, body.as_bytes()).await.status, 202, "{body}");
    }
    for (legs, wait, pointer) in [
        (json!(0), json!(0), "/arguments/legs"),
        (json!(10_001), json!(0), "/arguments/legs"),
        (json!(1), json!(-1), "/arguments/wait_seconds"),
        (json!(1), json!(0.5), "/arguments/wait_seconds"),
        (json!(1), json!(604_801), "/arguments/wait_seconds"),
    ] {
        refused(&world, long(legs, wait), &[pointer]).await;
    }
}
