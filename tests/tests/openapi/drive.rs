//! Requests everything that the document describes, once: Ferry's responses from the handlers in
//! one process, also with failing stores and unreadable records, and the gateway's from a whole
//! bundle.

use std::time::Duration;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::limits::BODY_BYTES_MAX;
use tests::bundle::SharedBundle;
use tests::openapi::Document;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::incompressible;
use tests::wire::{Fault, Outage, Service};
use tests::world::{Response, World, event};
use tokio::sync::OnceCell;

static BUNDLE: SharedBundle =
    SharedBundle::new(|| vec![("AWS_LAMBDA_LOG_LEVEL", "WARN".to_owned())]);

/// Set when one test of this process has sent the requests. The others need not send them again.
static DRIVEN: OnceCell<()> = OnceCell::const_new();

const ECHO: &str = r#"{"function":"demo.echo"}"#;
/// Null members, members with their default, and whole numbers in other spellings.
const DEFAULTS: [&str; 3] = [
    r#"{"function":"demo.echo","version":null,"arguments":null,"metadata":null,"callback_url":null,
        "callback_events":null,"ttl_seconds":null,"start_after_seconds":null,"start_at":null,
        "deadline_seconds":null}"#,
    r#"{"function":"demo.echo","callback_events":["failed","cancelled","completed"]}"#,
    r#"{"function":"demo.echo","ttl_seconds":6e1,"start_after_seconds":0e0,"deadline_seconds":5.0}"#,
];
const ENDLESS: &str =
    r#"{"function":"demo.countdown","arguments":{"steps":10000,"step_ms":60000}}"#;
const RETRIED: &str = r#"{"function":"demo.fail","arguments":{"retryable":true}}"#;
const UNKNOWN: &str = "op_000000000000000000000000";
const STATUS: &str = "urn:cline:forrst:ext:async:fn:status";
const CANCEL: &str = "urn:cline:forrst:ext:async:fn:cancel";

/// Documented codes with which a function may fail, and which Ferry itself returns seldom or never.
const FUNCTIONS_CODES: [&str; 8] = [
    "ASYNC_QUOTA_EXCEEDED",
    "ASYNC_VERSION_CONFLICT",
    "CONFLICT",
    "DEPENDENCY_ERROR",
    "FORBIDDEN",
    "INTERNAL_ERROR",
    "OUT_OF_STOCK",
    "RATE_LIMITED",
];

/// Sends all requests, once for the process.
pub(crate) async fn driven() {
    DRIVEN.get_or_init(|| Box::pin(send_all())).await;
}

async fn send_all() {
    examples().await;
    let world = World::start().await;
    submits(&world).await;
    reads(&world).await;
    ends(&world).await;
    redrives(&world).await;
    refusals(&world).await;
    calls(&world).await;
    refused_calls(&world).await;
    messages(&world).await;
    origins().await;
    failures().await;
    callbacks().await;
    gateway().await;
}

/// The examples of requests are accepted. Their work does not run, since their callbacks would go
/// to another machine.
async fn examples() {
    let world = World::start().await;
    let document = Document::of_ferry();
    let of_mcp = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "csv_summarize"),
    ];
    for (path, pointer, headers) in [
        ("/operations", "/paths/~1operations", &[][..]),
        ("/forrst", "/paths/~1forrst", &[]),
        ("/mcp", "/paths/~1mcp", &of_mcp),
    ] {
        let media = format!("{pointer}/post/requestBody/content/application~1json/examples");
        for (name, example) in document.at(&media).as_object().unwrap() {
            let body = example["value"].to_string();
            let response = world
                .while_waiting(None, world.request("POST", path, headers, &body))
                .await;
            assert!(
                (200..300).contains(&response.status),
                "{name}: {}",
                response.text
            );
        }
    }
}

async fn submits(world: &World) {
    let submit = async |headers: &[(&str, &str)], body: &str| {
        world.request("POST", "/operations", headers, body).await
    };
    let key = [("idempotency-key", "order-17")];
    submit(&key, ECHO).await;
    submit(&key, ECHO).await;
    world.drain().await;
    submit(&key, ECHO).await;
    submit(&key, r#"{"function":"demo.echo","arguments":{"n":1}}"#).await;
    let waiting = submit(&[("prefer", "wait=1")], ECHO);
    world.while_waiting(Some(Duration::ZERO), waiting).await;
    for body in ["{", "[]", r#"{"function":"demo.echo","ttl_seconds":1}"#] {
        submit(&[], body).await;
    }
    for body in DEFAULTS {
        let response = submit(&[], body).await;
        assert_eq!(response.status, 202, "{body}: {}", response.text);
    }
    submit(&[], r#"{"function":"demo.ech"}"#).await;
    submit(&[], r#"{"function":"demo.echo","version":"9.0.0"}"#).await;
    submit(&[], &" ".repeat(BODY_BYTES_MAX + 1)).await;
    submit(&[("content-type", "text/plain")], ECHO).await;
}

async fn reads(world: &World) {
    let id = id(&world.request("POST", "/operations", &[], RETRIED).await);
    let path = format!("/operations/{id}");
    let read = async |headers: &[(&str, &str)]| world.request("GET", &path, headers, "").await;
    read(&[]).await;
    read(&[("if-none-match", "*")]).await;
    world
        .while_waiting(None, read(&[("prefer", "wait=1")]))
        .await;
    world.request("HEAD", &path, &[], "").await;
    for include in ["arguments", "results"] {
        let including = format!("{path}?include={include}");
        world.request("GET", &including, &[], "").await;
    }
    world.request("GET", "/operations?limit=1", &[], "").await;
    world.request("GET", "/operations?limit=0", &[], "").await;
    world.request("GET", "/functions", &[], "").await;
    world.request("GET", "/health", &[], "").await;
    // Between two attempts.
    while read(&[]).await.json["status"] == "pending" {
        assert!(world.pump(QueueKind::Dispatch).await);
    }
    let cancel = format!("{path}/cancel");
    world.request("POST", &cancel, &[], "").await;
    read(&[]).await;
}

/// Cancels, erases and redelivers, in states that allow it and in states that do not.
async fn ends(world: &World) {
    let act = async |method: &str, id: &str, verb: &str, headers: &[(&str, &str)]| {
        world
            .request(method, &format!("/operations/{id}{verb}"), headers, "")
            .await
    };
    let receiver = Receiver::start().await;
    let body = json!({"function": "demo.echo", "callback_url": receiver.url});
    let id = id(&world.submit(body).await);
    act("DELETE", &id, "", &[]).await;
    act("POST", &id, "/redeliver", &[]).await;
    act("POST", &id, "/cancel", &[("if-match", "\"another\"")]).await;
    world.drain().await;
    world.show(&id).await;
    act("POST", &id, "/cancel", &[]).await;
    for (method, verb) in [("POST", "/redeliver"), ("POST", "/cancel"), ("DELETE", "")] {
        act(method, &id, verb, &[("if-match", "\"another\"")]).await;
        act(method, &id, verb, &[("if-none-match", "*")]).await;
    }
    act("POST", &id, "/redeliver", &[]).await;
    world.drain().await;
    act("DELETE", &id, "", &[]).await;
    for (method, verb) in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("POST", "/redeliver"),
    ] {
        act(method, UNKNOWN, verb, &[]).await;
    }
    let failed = world.submit(json!({"function": "demo.fail"})).await;
    world.drain().await;
    world.show(failed.json["id"].as_str().unwrap()).await;
}

/// Redrives of a failed operation, and every refusal of one.
async fn redrives(world: &World) {
    let failed = async || {
        let id = id(&world.submit(json!({"function": "demo.fail"})).await);
        world.drain().await;
        id
    };
    let redrive = async |id: &str, headers: &[(&str, &str)], body: &str| {
        let path = format!("/operations/{id}/redrive");
        world.request("POST", &path, headers, body).await
    };
    let examples = "/paths/~1operations~1{id}~1redrive/post/requestBody/content/\
                    application~1json/examples";
    for (name, example) in Document::of_ferry().at(examples).as_object().unwrap() {
        let response = redrive(&failed().await, &[], &example["value"].to_string()).await;
        assert_eq!(response.status, 202, "{name}: {}", response.text);
    }
    let id = failed().await;
    for body in ["{", "[]", r#"{"from":"end"}"#, r#"{"from":"state"}"#] {
        redrive(&id, &[], body).await;
    }
    redrive(&id, &[], &" ".repeat(BODY_BYTES_MAX + 1)).await;
    redrive(&id, &[("content-type", "text/plain")], "{}").await;
    redrive(&id, &[("if-match", "\"another\"")], "").await;
    redrive(UNKNOWN, &[], "").await;
    redrive(&id, &[], "").await;
    world.drain().await;
    redrive(&id, &[], "").await;
    for (attribute, value) in [("function_version", "9.0.0"), ("function", "demo.gone")] {
        let id = failed().await;
        set(world, &id, attribute, value).await;
        redrive(&id, &[], "").await;
    }
    // Redriven from a state, and then from the start.
    let id = failed().await;
    set(world, &id, "state", r#"{"legs_done":1}"#).await;
    set_number(world, &id, "state_attempt", "1").await;
    redrive(&id, &[], "").await;
    redrive(&id, &[], r#"{"from":"start"}"#).await;
    world.drain().await;
}

/// Requests without an owner, and with methods that the paths do not have.
async fn refusals(world: &World) {
    for route in Document::of_ferry().routes() {
        let path = route.path.replace("{id}", UNKNOWN);
        let body = if path == "/forrst" {
            call("demo.echo", &json!({})).to_string()
        } else {
            ECHO.to_owned()
        };
        let mut anonymous = event("alice", &route.method, &path, &[], body.as_bytes());
        let context = anonymous["requestContext"].as_object_mut().unwrap();
        context.remove("authorizer");
        world.answer(anonymous).await;
        world.request("PATCH", &path, &[], "").await;
    }
}

async fn calls(world: &World) {
    // It ends within the call's wait.
    let quick = call("demo.echo", &json!({"n": 1}));
    let quick = send(world, &quick);
    world.while_waiting(Some(Duration::ZERO), quick).await;
    for code in FUNCTIONS_CODES {
        let failing = call("demo.fail", &json!({ "code": code }));
        let failing = send(world, &failing);
        world.while_waiting(Some(Duration::ZERO), failing).await;
    }
    let health = call("urn:cline:forrst:fn:health", &json!({}));
    send(world, &health).await;
    suffer(world, true);
    send(world, &health).await;
    send(world, &call(STATUS, &json!({"operation_id": UNKNOWN}))).await;
    suffer(world, false);
}

async fn refused_calls(world: &World) {
    let extended = |urn: &str, options: &Value| {
        let mut call = call("demo.echo", &json!({}));
        call["extensions"] =
            json!([{"urn": format!("urn:cline:forrst:ext:{urn}"), "options": options}]);
        call
    };
    let ended = world.submit(json!({"function": "demo.echo"})).await;
    world.drain().await;
    let operation = json!({"operation_id": ended.json["id"]});

    let mut other_protocol = call("demo.echo", &json!({}));
    other_protocol["protocol"]["version"] = json!("1.0.0");
    let mut other_version = call("demo.echo", &json!({}));
    other_version["call"]["version"] = json!("9.0.0");
    let mut not_applicable = extended("idempotency", &json!({"key": "k"}));
    not_applicable["call"]["function"] = json!(STATUS);
    not_applicable["call"]["arguments"] = operation.clone();
    let past = json!({"value": "2020-01-01T00:00:00Z", "unit": "iso8601"});
    let preferred = extended("async", &json!({"preferred": true}));
    let mut key = preferred.clone();
    let keyed = json!({"urn": "urn:forrst:ext:idempotency", "options": {"key": "order-17"}});
    key["extensions"].as_array_mut().unwrap().push(keyed);
    let mut other_under_key = key.clone();
    other_under_key["call"]["arguments"] = json!({"n": 1});
    for call in [
        json!([]),
        other_protocol,
        other_version,
        not_applicable,
        call("demo.ech", &json!({})),
        call("demo.countdown", &json!({"steps": 0})),
        call(STATUS, &json!({"operation_id": UNKNOWN})),
        call(CANCEL, &operation),
        extended("unknown", &json!({})),
        extended("deadline", &past),
        preferred,
        key.clone(),
        key,
        other_under_key,
    ] {
        send(world, &call).await;
    }
    world.request("POST", "/forrst", &[], "{").await;
    let large = " ".repeat(BODY_BYTES_MAX + 1);
    world.request("POST", "/forrst", &[], &large).await;
    let another_type = [("content-type", "text/plain")];
    world.request("POST", "/forrst", &another_type, "{}").await;
}

/// Messages of MCP, and every refusal of one.
async fn messages(world: &World) {
    let send = async |headers: &[(&str, &str)], body: &str| {
        world.request("POST", "/mcp", headers, body).await
    };
    let unsupported = [("mcp-protocol-version", "2024-11-05")];
    let modern = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "ping"),
    ];
    let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientCapabilities":{}}"#;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let removed = ping.replace('}', &format!(r#","params":{{"_meta":{meta}}}}}"#));
    for (headers, body) in [
        (&[][..], ping),
        (
            &[],
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        ),
        (&[], r#"{"jsonrpc":"2.0","id":"a","method":"tools/call"}"#),
        (&[], "{"),
        (&unsupported, ping),
        (&modern, &removed),
        (&[("content-type", "text/plain")], ping),
        (&[], &" ".repeat(BODY_BYTES_MAX + 1)),
    ] {
        send(headers, body).await;
    }
}

/// Pages of other origins, and the metadata of an issuer.
async fn origins() {
    let on_aws = [
        ("LOCAL_BUNDLE", "0"),
        ("CALLBACK_ALLOWED_NETWORKS", ""),
        ("JWT_ISSUER", "https://login.example.com"),
        ("JWT_SCOPES", "operations, admin,"),
        ("PUBLIC_URL", "https://api.example.com"),
    ];
    let world = World::with(on_aws).await;
    let origin = [("origin", "https://evil.example")];
    world.request("POST", "/mcp", &origin, "{}").await;
    for path in ["", "/mcp"] {
        let path = format!("/.well-known/oauth-protected-resource{path}");
        let metadata = world.request("GET", &path, &[], "").await;
        let expected = json!({
            "resource": "https://api.example.com/mcp",
            "authorization_servers": ["https://login.example.com"],
            "scopes_supported": ["operations", "admin"],
            "bearer_methods_supported": ["header"],
        });
        assert_eq!(metadata.json, expected);
    }
}

/// Requests with a store out of reach, and with a record that cannot be read.
async fn failures() {
    let world = World::start().await;
    let key = [("idempotency-key", "corrupt")];
    let id = id(&world.request("POST", "/operations", &key, ECHO).await);
    world.drain().await;
    for is_out_of_reach in [true, false] {
        suffer(&world, is_out_of_reach);
        if !is_out_of_reach {
            corrupt(&world, &id).await;
        }
        world.request("POST", "/operations", &key, ECHO).await;
        world.request("GET", "/operations", &[], "").await;
        let path = format!("/operations/{id}");
        world.request("GET", &path, &[], "").await;
        world.request("DELETE", &path, &[], "").await;
        world
            .request("POST", &format!("{path}/cancel"), &[], "")
            .await;
        world
            .request("POST", &format!("{path}/redeliver"), &[], "")
            .await;
        world
            .request("POST", &format!("{path}/redrive"), &[], "")
            .await;
    }
}

async fn callbacks() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let url = &receiver.url;
    let large = incompressible(65 * 1024);
    for body in [
        json!({"function": "demo.echo", "callback_url": url, "metadata": {"order": 17}}),
        json!({"function": "demo.echo", "callback_url": url, "arguments": {"large": large}}),
        json!({"function": "demo.fail", "callback_url": url}),
    ] {
        world.submit(body).await;
    }
    world.drain().await;
    let mut body: Value = serde_json::from_str(ENDLESS).unwrap();
    body["callback_url"] = json!(url);
    let id = id(&world.submit(body).await);
    world
        .request("POST", &format!("/operations/{id}/cancel"), &[], "")
        .await;
    world.drain().await;
}

/// Requests to which the gateway itself responds.
async fn gateway() {
    let api = BUNDLE.caller("gateway");
    for route in Document::of_ferry().routes() {
        let path = route.path.replace("{id}", UNKNOWN);
        let method = Method::from_bytes(route.method.as_bytes()).unwrap();
        api.send(method, &path, &[("authorization", "Basic YTpi")], "")
            .await;
    }
    api.get("/nowhere").await;
    // Too large for an event. The gateway refuses a body that is too large for itself before it has
    // read it, which breaks the connection.
    let too_large = " ".repeat(local::function::PAYLOAD_MAX_BYTES + 1);
    let redrive = format!("/operations/{UNKNOWN}/redrive");
    for path in ["/operations", "/forrst", "/mcp", &redrive] {
        api.send(Method::POST, path, &[], too_large.as_str()).await;
    }
}

fn call(function: &str, arguments: &Value) -> Value {
    json!({
        "protocol": {"name": "forrst", "version": "0.1.0"},
        "id": "req_1",
        "call": {"function": function, "arguments": arguments},
    })
}

async fn send(world: &World, call: &Value) -> Response {
    world
        .request("POST", "/forrst", &[], &call.to_string())
        .await
}

fn id(response: &Response) -> String {
    response.json["id"].as_str().unwrap().to_owned()
}

fn suffer(world: &World, is_out_of_reach: bool) {
    let outage = Outage {
        service: Service::Store,
        fault: Fault::AccessDenied,
        only: String::new(),
    };
    let outages = if is_out_of_reach {
        vec![outage]
    } else {
        Vec::new()
    };
    world.wire.set_outages(&outages);
}

/// Removes a required attribute from a record.
async fn corrupt(world: &World, id: &str) {
    let update = of_head(world, id).update_expression("REMOVE attempts_max");
    update.send().await.unwrap();
}

async fn set(world: &World, id: &str, attribute: &str, text: &str) {
    set_to(world, id, attribute, AttributeValue::S(text.to_owned())).await;
}

async fn set_number(world: &World, id: &str, attribute: &str, digits: &str) {
    set_to(world, id, attribute, AttributeValue::N(digits.to_owned())).await;
}

/// Overwrites an attribute of a record.
async fn set_to(world: &World, id: &str, attribute: &str, value: AttributeValue) {
    let update = of_head(world, id)
        .update_expression("SET #attribute = :value")
        .expression_attribute_names("#attribute", attribute)
        .expression_attribute_values(":value", value);
    update.send().await.unwrap();
}

fn of_head(world: &World, id: &str) -> UpdateItemFluentBuilder {
    world
        .dynamodb
        .update_item()
        .table_name(world.environment.required("TABLE_NAME").unwrap())
        .key("pk", AttributeValue::S(id.to_owned()))
        .key("sk", AttributeValue::S("head".to_owned()))
}
