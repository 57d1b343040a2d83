//! What a message must be, in the order in which it is checked.

use serde_json::{Value, json};
use shared::domain::limits::{BODY_BYTES_MAX, NESTING_MAX};
use tests::world::World;

use super::{MODERN, TASKS, borrowed, error_code, legacy, modern, request, send};

/// Every response but those of tools comes without a call to AWS.
fn assert_no_calls(world: &World) {
    assert!(world.wire.calls().is_empty(), "{:?}", world.wire.calls());
}

#[tokio::test]
async fn a_body_that_is_not_one_message_is_refused_with_the_id_it_has() {
    let world = World::start().await;
    let deep = "[".repeat(NESTING_MAX) + &"]".repeat(NESTING_MAX);
    let deep = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","deep":{deep}}}"#);
    for (body, code, id) in [
        ("", -32700, None),
        ("{", -32700, None),
        ("\u{feff}{}", -32700, None),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"} x",
            -32700,
            None,
        ),
        ("[]", -32600, None),
        (
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            -32600,
            None,
        ),
        ("\"ping\"", -32600, None),
        ("null", -32600, None),
        ("{}", -32600, None),
        (r#"{"id":1,"method":"ping"}"#, -32600, Some(json!(1))),
        (
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            -32600,
            Some(json!(1)),
        ),
        (
            r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#,
            -32600,
            Some(json!(1)),
        ),
        (
            r#"{"jsonrpc":"2.0","id":"a","method":7}"#,
            -32600,
            Some(json!("a")),
        ),
        (r#"{"jsonrpc":"2.0","id":"a"}"#, -32600, Some(json!("a"))),
        // A response: the server sends no requests.
        (r#"{"jsonrpc":"2.0","id":7,"result":{}}"#, -32600, None),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            -32600,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            -32600,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#,
            -32600,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#,
            -32600,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            -32600,
            None,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}"#,
            -32600,
            Some(json!(1)),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            -32602,
            Some(json!(1)),
        ),
        (deep.as_str(), -32600, Some(json!(1))),
    ] {
        let response = send(&world, &[], body).await;
        assert_eq!(
            (response.status, error_code(&response)),
            (400, Some(code)),
            "{body}"
        );
        assert_eq!(response.json.get("id"), id.as_ref(), "{body}");
        assert_eq!(response.json["jsonrpc"], "2.0");
        assert_eq!(response.headers["content-type"], "application/json");
    }
    assert_no_calls(&world);
}

#[tokio::test]
async fn an_id_comes_back_as_it_was_sent() {
    let world = World::start().await;
    for id in [
        "1",
        "0",
        "-7",
        "9007199254740993",
        "1000000000000000000000000000000",
        "1.0",
        "-1e3",
        "\"\"",
        r#""caf\u00e9""#,
        "\"1\"",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let response = send(&world, &[], &body).await;
        assert_eq!(response.status, 200);
        assert_eq!(
            response.text,
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
        );
    }
}

#[tokio::test]
async fn a_notification_is_accepted_without_a_response() {
    let world = World::start().await;
    for (method, version, status, code) in [
        ("notifications/initialized", None, 202, None),
        ("notifications/initialized", Some("2025-11-25"), 202, None),
        ("notifications/cancelled", Some(MODERN), 202, None),
        ("notifications/any", Some(MODERN), 202, None),
        (
            "notifications/initialized",
            Some("1999-01-01"),
            400,
            Some(-32022),
        ),
        // A method that has a response.
        ("tools/call", Some(MODERN), 400, Some(-32600)),
        ("ping", None, 400, Some(-32600)),
    ] {
        let header = version.map(|version| (VERSION, version));
        let params = json!({"name": "demo_echo"});
        let body = json!({"jsonrpc": "2.0", "method": method, "params": params});
        let response = send(&world, header.as_slice(), &body.to_string()).await;
        assert_eq!(
            (response.status, error_code(&response)),
            (status, code),
            "{method} {version:?}"
        );
        assert_eq!(response.text.is_empty(), code.is_none());
        assert_eq!(response.json.get("id"), None);
    }
    assert_no_calls(&world);
}

/// Two readers of such a body would see different messages.
#[tokio::test]
async fn a_repeated_member_is_refused_wherever_another_fault_is() {
    let world = World::start().await;
    let twice = r#""arguments":{"a":1,"a":1}"#;
    let named = r#""name":"demo_echo""#;
    let deep = format!("{}{}", "[".repeat(NESTING_MAX), "]".repeat(NESTING_MAX));
    for (method, params) in [
        ("ping", format!("{{{twice}}}")),
        ("ping", format!(r#"{{"arguments":{deep}}}"#)),
        ("tools/list", format!("{{{twice}}}")),
        ("tools/call", format!("{{{named},{named},{twice}}}")),
        (
            "tools/call",
            format!(r#"{{{named},"arguments":{{}},"arguments":{{}}}}"#),
        ),
        (
            "tools/call",
            format!(r#"{{{named},{twice},"_meta":{{"b":1,"b":1}}}}"#),
        ),
        (
            "tasks/get",
            r#"{"taskId":"op_1","taskId":"op_2","arguments":{}}"#.to_owned(),
        ),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let response = send(&world, &[], &body).await;
        let found = (response.status, error_code(&response));
        assert_eq!(found, (400, Some(-32600)), "{body}: {}", response.text);
    }
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"id":2,"method":"ping","method":"x","params":{{{twice}}}}}"#
    );
    let response = send(&world, &[], &body).await;
    assert_eq!(
        (error_code(&response), response.json.get("id")),
        (Some(-32600), None)
    );
    assert_no_calls(&world);
}

#[tokio::test]
async fn a_request_that_is_not_a_message_by_http_gets_a_problem() {
    let world = World::start().await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let large = " ".repeat(BODY_BYTES_MAX + 1);
    for (method, headers, body, status) in [
        ("GET", &[][..], "", 405),
        ("DELETE", &[], "", 405),
        ("POST", &[("content-type", "text/plain")], body, 415),
        ("POST", &[("content-encoding", "gzip")], body, 415),
        ("POST", &[], large.as_str(), 413),
    ] {
        let response = world.request(method, "/mcp", headers, body).await;
        assert_eq!(
            response.status, status,
            "{method} {headers:?}: {}",
            response.text
        );
        assert_eq!(response.headers["content-type"], "application/problem+json");
    }
    let response = world
        .request_of("", "POST", "/mcp", &[], body.as_bytes())
        .await;
    assert_eq!(
        (response.status, &response.json["code"]),
        (401, &json!("UNAUTHORIZED"))
    );
    let get = world.request("GET", "/mcp", &[], "").await;
    assert_eq!(get.headers["allow"], "POST");
}

#[tokio::test]
async fn only_pages_of_the_api_and_of_allowed_origins_may_call() {
    let settings = |origins| {
        [
            // As on AWS, where no gateway checks the origin and callbacks reach public hosts only.
            ("LOCAL_BUNDLE", "0"),
            ("CALLBACK_ALLOWED_NETWORKS", ""),
            ("PUBLIC_URL", "https://api.example.com/v1"),
            ("CORS_ALLOWED_ORIGINS", origins),
        ]
    };
    let listed = settings("https://app.example.com, ,http://localhost:5173,");
    let (any, none) = (settings("*"), settings(""));
    for (origin, statuses) in [
        (None, [200, 200, 200]),
        (Some("https://api.example.com"), [200, 200, 200]),
        (Some("https://app.example.com"), [200, 200, 403]),
        (Some("http://localhost:5173"), [200, 200, 403]),
        (Some("http://app.example.com"), [403, 200, 403]),
        (Some("https://app.example.com:8443"), [403, 200, 403]),
        (
            Some("https://api.example.com.evil.example"),
            [403, 200, 403],
        ),
        (Some("null"), [403, 200, 403]),
        (Some(""), [403, 200, 403]),
    ] {
        for (settings, status) in [listed, any, none].into_iter().zip(statuses) {
            let world = World::with(settings).await;
            let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
            let header = origin.map(|origin| ("origin", origin));
            // The owners of a gateway on AWS.
            let mut event = tests::world::event("", "POST", "/mcp", header.as_slice(), b"");
            event["body"] = json!(body);
            event["isBase64Encoded"] = json!(false);
            event["requestContext"]["authorizer"] = json!({"jwt": {"claims": {"sub": "alice"}}});
            let response = world.answer(event).await;
            assert_eq!(
                response.status, status,
                "{origin:?} {settings:?}: {}",
                response.text
            );
        }
    }
}

/// A change of a modern request: headers to set or to leave out, members of the body to set, and
/// the code of the error that it gets.
type Change<'a> = (
    &'a [(&'a str, Option<&'a str>)],
    &'a [(&'a str, Value)],
    i64,
);

const VERSION: &str = "mcp-protocol-version";
const META: &str = "/params/_meta";
const META_VERSION: &str = "/params/_meta/io.modelcontextprotocol~1protocolVersion";
const META_CAPABILITIES: &str = "/params/_meta/io.modelcontextprotocol~1clientCapabilities";

/// The error is that of the first check that the request does not pass.
#[tokio::test]
async fn a_modern_request_is_checked_for_headers_then_metadata_then_version() {
    let world = World::start().await;
    let doubled = format!("{MODERN}, {MODERN}");
    let unknown = [(META_VERSION, json!("2031-01-01"))];
    let unknown_method = [(META_VERSION, json!("v9")), ("/method", json!("no/such"))];
    let changes: [Change<'_>; 19] = [
        // Nothing: the arguments of the request are the first to be wrong.
        (&[], &[], -32602),
        (&[(VERSION, None)], &[], -32020),
        (&[("mcp-method", None)], &[], -32020),
        (&[("mcp-name", None)], &[], -32020),
        (&[(VERSION, Some("2025-11-25"))], &[], -32020),
        (&[(VERSION, Some(&doubled))], &[], -32020),
        (&[("mcp-method", Some("tools/list"))], &[], -32020),
        (&[("mcp-method", Some("TOOLS/CALL"))], &[], -32020),
        (&[("mcp-name", Some("demo_fail"))], &[], -32020),
        (&[("mcp-name", Some("DEMO_ECHO"))], &[], -32020),
        (&[], &[("/params/name", Value::Null)], -32020),
        (
            &[("mcp-method", None)],
            &[(META_CAPABILITIES, Value::Null)],
            -32020,
        ),
        (&[], &[(META, Value::Null)], -32602),
        (&[], &[(META, json!([]))], -32602),
        (&[], &[(META_VERSION, Value::Null)], -32602),
        (&[], &[(META_CAPABILITIES, Value::Null)], -32602),
        (&[], &[(META_CAPABILITIES, json!(true))], -32602),
        (&[(VERSION, Some("2031-01-01"))], &unknown, -32022),
        // The version comes before the method.
        (
            &[(VERSION, Some("v9")), ("mcp-method", Some("no/such"))],
            &unknown_method,
            -32022,
        ),
    ];
    for (headers, members, code) in changes {
        let params = json!({"name": "demo_echo", "arguments": []});
        let (mut sent, body) = modern("tools/call", params, false);
        for (name, value) in headers {
            sent.retain(|(known, _)| known != name);
            sent.extend(value.map(|value| (*name, value.to_owned())));
        }
        let mut body: Value = serde_json::from_str(&body).unwrap();
        for (pointer, value) in members {
            *body.pointer_mut(pointer).unwrap() = value.clone();
        }
        let response = send(&world, &borrowed(&sent), &body.to_string()).await;
        let is_unchanged = headers.is_empty() && members.is_empty();
        let status = if is_unchanged { 200 } else { 400 };
        let found = (response.status, error_code(&response));
        assert_eq!(
            found,
            (status, Some(code)),
            "{headers:?} {members:?}: {}",
            response.text
        );
        assert_eq!(response.json["id"], 1);
        if code == -32022 {
            let data = &response.json["error"]["data"];
            let supported = json!([MODERN, "2025-11-25", "2025-06-18", "2025-03-26"]);
            assert_eq!(data["supported"], supported);
            assert_eq!(Some(&data["requested"]), body.pointer(META_VERSION));
        }
    }
    assert_no_calls(&world);
}

#[tokio::test]
async fn a_name_header_may_be_coded_and_has_legal_characters() {
    let world = World::start().await;
    let name = "demo_echo";
    for (header, is_accepted) in [
        ("demo_echo", true),
        ("  demo_echo\t", true),
        ("=?base64?ZGVtb19lY2hv?=", true),
        ("=?BASE64?ZGVtb19lY2hv?=", false),
        ("=?base64?ZGVtb19lY2hv", false),
        ("=?base64?ZGVtb19lY2h?=", false),
        ("=?base64?/w==?=", false),
        ("=?base64??=", false),
        ("demo_echo, demo_echo", false),
        ("demo_ech\u{f6}", false),
        ("", false),
    ] {
        let params = json!({"name": name, "arguments": []});
        let (mut headers, body) = modern("tools/call", params, false);
        header.clone_into(&mut headers[2].1);
        let response = send(&world, &borrowed(&headers), &body).await;
        let expected = if is_accepted { -32602 } else { -32020 };
        assert_eq!(
            error_code(&response),
            Some(expected),
            "{header:?}: {}",
            response.text
        );
    }
    // A name that no header can carry.
    let params = json!({"name": "z\u{e9}", "arguments": {}});
    let (mut headers, body) = modern("tools/call", params, false);
    for (header, code) in [("z\u{e9}", -32020), ("=?base64?esOp?=", -32602)] {
        header.clone_into(&mut headers[2].1);
        let response = send(&world, &borrowed(&headers), &body).await;
        assert_eq!(
            error_code(&response),
            Some(code),
            "{header:?}: {}",
            response.text
        );
    }
    assert_no_calls(&world);
}

#[tokio::test]
async fn each_era_has_its_methods() {
    let world = World::start().await;
    let of_both = ["tools/list"];
    let of_modern = ["server/discover"];
    let of_legacy = ["initialize", "ping"];
    let of_none = [
        "tasks/list",
        "tasks/result",
        "subscriptions/listen",
        "resources/list",
        "prompts/list",
        "completion/complete",
        "logging/setLevel",
        "",
        "Ping",
    ];
    for method in of_both
        .into_iter()
        .chain(of_modern)
        .chain(of_legacy)
        .chain(of_none)
    {
        let params = json!({"protocolVersion": "2025-11-25"});
        let response = request(&world, method, params.clone(), true).await;
        let is_known = of_both.contains(&method) || of_modern.contains(&method);
        let expected = if is_known {
            (200, None)
        } else {
            (404, Some(-32601))
        };
        assert_eq!(
            (response.status, error_code(&response)),
            expected,
            "{method}"
        );

        let response = legacy(&world, method, &params).await;
        let is_known = of_both.contains(&method) || of_legacy.contains(&method);
        let expected = if is_known { None } else { Some(-32601) };
        assert_eq!(
            (response.status, error_code(&response)),
            (200, expected),
            "{method}"
        );
    }
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let params = json!({"taskId": "op_000000000000000000000000"});
        let response = legacy(&world, method, &params).await;
        assert_eq!(
            (response.status, error_code(&response)),
            (200, Some(-32601)),
            "{method}"
        );
        let response = request(&world, method, params, false).await;
        assert_eq!(
            (response.status, error_code(&response)),
            (400, Some(-32021)),
            "{method}"
        );
        let required = &response.json["error"]["data"]["requiredCapabilities"];
        assert_eq!(required, &json!({"extensions": {TASKS: {}}}));
    }
    assert_no_calls(&world);
}

#[tokio::test]
async fn the_server_says_what_it_is_and_what_it_can() {
    let world = World::start().await;
    let version = env!("CARGO_PKG_VERSION");
    let discovered = request(&world, "server/discover", json!({}), false).await;
    let mut result = discovered.json["result"].clone();
    let instructions = result["instructions"].take();
    assert!(
        instructions
            .as_str()
            .unwrap()
            .contains("ferry_get_operation")
    );
    assert_eq!(
        result,
        json!({
            "resultType": "complete",
            "supportedVersions": [MODERN, "2025-11-25", "2025-06-18", "2025-03-26"],
            "capabilities": {"tools": {}, "extensions": {TASKS: {}}},
            "instructions": null,
            "ttlMs": 3_600_000,
            "cacheScope": "public",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "ferry", "version": version}},
        })
    );
    for (requested, agreed) in [
        (json!("2025-03-26"), "2025-03-26"),
        (json!("2025-06-18"), "2025-06-18"),
        (json!(MODERN), "2025-11-25"),
    ] {
        // A client has no version to send before it has asked for one.
        let params = json!({
            "protocolVersion": requested, "capabilities": {}, "clientInfo": {"name": "c"},
        });
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let initialized = send(&world, &[], &body.to_string()).await;
        assert_eq!(
            initialized.json["result"],
            json!({
                "protocolVersion": agreed,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "ferry", "version": version},
                "instructions": instructions,
            })
        );
        assert_eq!(initialized.headers.get("mcp-session-id"), None);
    }
    let initialized = legacy(&world, "initialize", &json!({})).await;
    assert_eq!(error_code(&initialized), Some(-32602));
}

#[tokio::test]
async fn the_tools_are_the_functions_and_two_for_operations() {
    let world = World::start().await;
    let modern = request(&world, "tools/list", json!({}), false).await;
    let result = &modern.json["result"];
    assert_eq!(
        (
            &result["ttlMs"],
            &result["cacheScope"],
            &result["resultType"]
        ),
        (&json!(300_000), &json!("private"), &json!("complete"))
    );
    let tools = result["tools"].as_array().unwrap();
    let names: Vec<_> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    let expected = [
        "csv_summarize",
        "file_checksum",
        "demo_echo",
        "demo_countdown",
        "demo_fail",
        "demo_long",
        "ferry_get_operation",
        "ferry_cancel_operation",
    ];
    assert_eq!(names, expected);
    let csv = &tools[0];
    assert_eq!(csv["title"], "csv.summarize");
    assert_eq!(csv["inputSchema"]["required"], json!(["csv"]));
    assert_eq!(csv["outputSchema"]["type"], "object");
    let hints = json!({
        "readOnlyHint": true, "destructiveHint": false, "idempotentHint": false,
        "openWorldHint": true,
    });
    assert_eq!(csv["annotations"], hints);
    for tool in tools {
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        assert!(
            tool["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{tool}"
        );
    }

    let legacy = legacy(&world, "tools/list", &json!({})).await;
    let members = legacy.json["result"].as_object().unwrap();
    assert_eq!(members.keys().collect::<Vec<_>>(), ["tools"]);
    assert_eq!(legacy.json["result"]["tools"], result["tools"]);
    let paged = request(&world, "tools/list", json!({"cursor": "x"}), false).await;
    assert_eq!(error_code(&paged), Some(-32602));
    assert_no_calls(&world);
}
