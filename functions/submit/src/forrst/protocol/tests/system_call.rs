//! The protocol's own functions.

use std::collections::BTreeMap;
use std::time::Duration;

use semver::Version;
use serde_json::{Value, json};

use super::super::{
    CapabilitiesView, ComponentHealth, DescribeArguments, ErrorObject, Errors, HealthArguments,
    HealthComponent, HealthStatus, HealthView, ListView, PingView, SystemCall, SystemFunction,
    describe,
};
use super::{NOW, alice, codes_and_places, envelope, operation, read};
use shared::catalogue::{Catalogue, Unknown};
use shared::domain::callback::CallbackStatus;
use shared::domain::operation::State;
use shared::domain::transition::Status;
use shared::request::ListRequest;
use shared::schema::Validators;
use shared::store::{ListFilter, ListPage, Position};

fn call(function: &str, arguments: &Value) -> Value {
    let mut envelope = envelope();
    envelope["call"] = json!({"function": function, "arguments": arguments});
    envelope
}

fn read_call(envelope: &Value) -> Option<Result<SystemCall, Errors>> {
    let reading = read(envelope);
    SystemCall::read(
        &reading.request.unwrap(),
        &reading.echo.spellings,
        &alice(),
        &Validators::default(),
    )
}

#[track_caller]
fn assert_refused(envelope: &Value, expected: &[(&str, &str)]) {
    let errors = codes_and_places(&read_call(envelope).unwrap().unwrap_err());
    let errors: Vec<_> = errors
        .iter()
        .map(|(code, place)| (code.as_str(), place.as_str()))
        .collect();
    assert_eq!(errors, expected, "{envelope}");
}

#[test]
fn other_functions_are_not_system_functions() {
    assert_eq!(read_call(&envelope()), None);
    assert_eq!(
        read_call(&call("urn:forrst:ext:async:fn:status", &json!({}))),
        None
    );
}

#[test]
fn calls_are_read_with_their_arguments() {
    let id = operation(State::Pending).id;
    let of_operation = json!({"operation_id": id.as_str()});
    let everything = ListRequest {
        filter: ListFilter::default(),
        limit: 50,
        from: None,
    };
    let failed = ListRequest {
        filter: ListFilter {
            statuses: vec![Status::Failed],
            callback_status: Some(CallbackStatus::Gone),
            function: Some("demo.echo".to_owned()),
            created_after: Some(NOW),
            created_before: None,
        },
        limit: 7,
        from: None,
    };
    let describe = |version, include_schema| DescribeArguments {
        function: "demo.echo".to_owned(),
        version,
        include_schema,
    };
    let health = |component, include_details| HealthArguments {
        component,
        include_details,
    };
    for (function, arguments, expected) in [
        (
            SystemFunction::Status,
            of_operation.clone(),
            SystemCall::Status(id.clone()),
        ),
        (
            SystemFunction::Cancel,
            of_operation,
            SystemCall::Cancel(id.clone()),
        ),
        (
            SystemFunction::List,
            json!({}),
            SystemCall::List(everything),
        ),
        (
            SystemFunction::List,
            json!({
                "status": "failed", "callback_status": "gone", "function": "demo.echo", "created_after": NOW.to_string(),
                "limit": 7,
            }),
            SystemCall::List(failed),
        ),
        (SystemFunction::Ping, json!({}), SystemCall::Ping),
        (
            SystemFunction::Capabilities,
            json!({}),
            SystemCall::Capabilities,
        ),
        (
            SystemFunction::Describe,
            json!({"function": "demo.echo"}),
            SystemCall::Describe(describe(None, true)),
        ),
        (
            SystemFunction::Describe,
            json!({"function": "demo.echo", "version": "1.0.0", "include_schema": false}),
            SystemCall::Describe(describe(Some(Version::new(1, 0, 0)), false)),
        ),
        (
            SystemFunction::Health,
            json!({}),
            SystemCall::Health(health(None, true)),
        ),
        (
            SystemFunction::Health,
            json!({"component": null, "include_details": null}),
            SystemCall::Health(health(None, true)),
        ),
        (
            SystemFunction::Health,
            json!({"component": "self", "include_details": false}),
            SystemCall::Health(health(Some(HealthComponent::Itself), false)),
        ),
    ] {
        let envelope = call(function.name(), &arguments);
        assert_eq!(read_call(&envelope), Some(Ok(expected)), "{envelope}");
    }
}

#[test]
fn wrong_arguments_are_reported_with_their_place() {
    const INVALID: &str = "INVALID_ARGUMENTS";
    const NOT_FOUND: &str = "ASYNC_OPERATION_NOT_FOUND";
    let status = SystemFunction::Status;
    for (function, arguments, expected) in [
        (
            status,
            json!({"operation_id": 1}),
            &[(INVALID, "/call/arguments/operation_id")][..],
        ),
        (
            status,
            json!({}),
            &[(INVALID, "/call/arguments/operation_id")],
        ),
        (
            status,
            json!({"operation_id": "op_1"}),
            &[(NOT_FOUND, "/call/arguments/operation_id")],
        ),
        (
            SystemFunction::Cancel,
            json!({"operation_id": "op_1", "force": true}),
            &[(INVALID, "/call/arguments/force")],
        ),
        (
            SystemFunction::List,
            json!({"limit": "7", "created_after": "yesterday", "status": "done"}),
            &[
                (INVALID, "/call/arguments/limit"),
                (INVALID, "/call/arguments/created_after"),
                (INVALID, "/call/arguments/status"),
            ],
        ),
        (
            SystemFunction::List,
            json!({"status": "done", "created_before": "now", "limit": 101, "cursor": "x"}),
            &[
                (INVALID, "/call/arguments/limit"),
                (INVALID, "/call/arguments/created_before"),
                (INVALID, "/call/arguments/status"),
                (INVALID, "/call/arguments/cursor"),
            ],
        ),
        (
            SystemFunction::Ping,
            json!({"loud": true, "clear": true}),
            &[
                (INVALID, "/call/arguments/clear"),
                (INVALID, "/call/arguments/loud"),
            ],
        ),
        (
            SystemFunction::Describe,
            json!({"function": "demo.echo", "version": "1"}),
            &[(INVALID, "/call/arguments/version")],
        ),
        (
            SystemFunction::Describe,
            json!({"function": "demo.echo", "version": "1", "include_schema": 1}),
            &[
                (INVALID, "/call/arguments/include_schema"),
                (INVALID, "/call/arguments/version"),
            ],
        ),
        (
            SystemFunction::Describe,
            json!({"version": "1"}),
            &[
                (INVALID, "/call/arguments/function"),
                (INVALID, "/call/arguments/version"),
            ],
        ),
        (
            SystemFunction::Health,
            json!({"component": "cache", "include_details": 1}),
            &[
                (INVALID, "/call/arguments/component"),
                (INVALID, "/call/arguments/include_details"),
            ],
        ),
    ] {
        assert_refused(&call(function.name(), &arguments), expected);
    }
}

#[test]
fn a_member_is_refused_with_its_rule_however_it_breaks_it() {
    let describe = |version| json!({"function": "demo.echo", "version": version});
    let list = |limit| json!({"limit": limit});
    let (function, version) = (
        SystemFunction::Describe,
        "must be a semantic version such as 1.0.0",
    );
    let limit = "must be at least 1";
    for (function, arguments, member, rule) in [
        (function, describe(json!("1")), "version", version),
        (function, describe(json!("")), "version", version),
        (function, describe(json!("v1.0.0")), "version", version),
        (SystemFunction::List, list(json!(-1)), "limit", limit),
        (SystemFunction::List, list(json!(0)), "limit", limit),
        (
            SystemFunction::List,
            list(json!(101)),
            "limit",
            "must be at most 100",
        ),
        (
            SystemFunction::List,
            list(json!(u64::MAX)),
            "limit",
            "must be at most 100",
        ),
    ] {
        let envelope = call(function.name(), &arguments);
        let errors = read_call(&envelope).unwrap().unwrap_err();
        let errors = serde_json::to_value(errors.as_slice()).unwrap();
        let pointer = format!("/call/arguments/{member}");
        assert_eq!(errors[0]["source"]["pointer"], pointer, "{envelope}");
        assert_eq!(errors[0]["message"], format!("{pointer} {rule}"));
        assert_eq!(errors[1], Value::Null);
    }
}

#[test]
fn an_optional_member_may_be_null() {
    let id = operation(State::Pending).id;
    for function in SystemFunction::ALL {
        let schema = serde_json::to_value(function.arguments_schema()).unwrap();
        let required = schema["required"].as_array();
        let is_required = |name: &str| required.is_some_and(|all| all.contains(&json!(name)));
        let members = schema["properties"].as_object().into_iter().flatten();
        let value = |name: &str| match name {
            "operation_id" => json!(id.as_str()),
            _ => json!("demo.echo"),
        };
        let arguments: Value = members
            .map(|(name, _)| {
                let value = is_required(name).then(|| value(name));
                (name.clone(), value.unwrap_or_default())
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        let read = read_call(&call(function.name(), &arguments)).unwrap();
        assert!(read.is_ok(), "{arguments}: {read:?}");
    }
}

#[test]
fn other_versions_and_extensions_of_operations_are_refused() {
    let ping = SystemFunction::Ping.name();
    let mut envelope = call(ping, &json!({}));
    envelope["call"]["version"] = json!("2.0.0");
    envelope["extensions"] = json!([
        {"urn": "urn:forrst:ext:idempotency", "options": {"key": "k"}},
        {"urn": "urn:forrst:ext:deadline", "options": {"value": 1, "unit": "second"}},
        {"urn": "urn:forrst:ext:webhook", "options": {"callback_url": "https://example.com/"}},
        {"urn": "urn:forrst:ext:async", "options": {"preferred": true}},
        {"urn": "urn:forrst:ext:retry"},
    ]);
    assert_refused(
        &envelope,
        &[
            ("VERSION_NOT_FOUND", "/call/version"),
            ("EXTENSION_NOT_APPLICABLE", "/extensions/0"),
            ("EXTENSION_NOT_APPLICABLE", "/extensions/1"),
            ("EXTENSION_NOT_APPLICABLE", "/extensions/2"),
        ],
    );
    let errors = read_call(&envelope).unwrap().unwrap_err();
    let errors = serde_json::to_value(errors.as_slice()).unwrap();
    assert_eq!(
        errors[0]["details"],
        json!({"function": ping, "requested_version": "2.0.0", "available_versions": ["1.0.0"]})
    );
    assert_eq!(
        errors[1]["details"],
        json!({"extension": "urn:forrst:ext:idempotency", "function": ping})
    );
}

#[test]
fn a_list_continues_at_its_cursor() {
    let request = ListRequest {
        filter: ListFilter::default(),
        limit: 1,
        from: None,
    };
    let operation = operation(State::Pending);
    let position = Position {
        id: operation.id.clone(),
        created_at: operation.created_at,
    };
    let page = ListPage {
        operations: vec![operation],
        examined: 7,
        next: Some(position.clone()),
    };
    let view = serde_json::to_value(ListView::new(&page, &request, &alice(), NOW)).unwrap();
    assert_eq!(view["operations"][0]["status"], "pending");
    assert_eq!(view["examined"], 7);
    let next = call(
        SystemFunction::List.name(),
        &json!({"cursor": view["next_cursor"]}),
    );
    let Some(Ok(SystemCall::List(read))) = read_call(&next) else {
        panic!("{next}");
    };
    assert_eq!(read.from, Some(position));
}

#[test]
fn capabilities_name_every_function() {
    assert_eq!(
        serde_json::to_value(PingView::new(NOW)).unwrap(),
        json!({"status": "healthy", "timestamp": NOW.to_string()})
    );
    let view = serde_json::to_value(CapabilitiesView::new(Catalogue::new(false))).unwrap();
    assert_eq!(view["service"], "ferry");
    assert_eq!(view["protocol_versions"], json!(["0.1.0"]));
    assert_eq!(
        view["extensions"][0],
        json!({"urn": "urn:cline:forrst:ext:async"})
    );
    assert_eq!(view["limits"]["max_request_bytes"], 1_048_576);
    for name in view["functions"].as_array().unwrap() {
        let arguments = DescribeArguments {
            function: name.as_str().unwrap().to_owned(),
            version: None,
            include_schema: true,
        };
        let view = describe(&arguments, Catalogue::new(false)).unwrap();
        let view = serde_json::to_value(view).unwrap();
        assert_eq!(view["function"], *name);
        assert_eq!(view["recommended_version"], "1.0.0");
        let version = &view["versions"][0];
        assert_eq!(version["stability"], "stable");
        assert_eq!(version["schema"]["arguments"]["type"], "object", "{name}");
        assert!(version["schema"]["returns"].is_object(), "{name}");
    }
}

#[test]
fn an_unknown_function_cannot_be_described() {
    let described = |function: &str, version: Option<Version>| {
        let arguments = DescribeArguments {
            function: function.to_owned(),
            version,
            include_schema: false,
        };
        let view = describe(&arguments, Catalogue::new(false))?;
        Ok(serde_json::to_value(view).unwrap())
    };
    let refused = |function: &str, version: Option<Version>| {
        let error: ErrorObject = described(function, version).unwrap_err();
        codes_and_places(&error.into()).remove(0)
    };
    let nine = Some(Version::new(9, 0, 0));
    let at = |code: &str, member: &str| (code.to_owned(), format!("/call/arguments/{member}"));
    assert_eq!(
        refused("demo.echo", None),
        at("FUNCTION_NOT_FOUND", "function")
    );
    assert_eq!(
        refused("csv.summarize", nine.clone()),
        at("VERSION_NOT_FOUND", "version")
    );
    assert_eq!(
        refused(SystemFunction::Ping.name(), nine),
        at("VERSION_NOT_FOUND", "version")
    );
    let brief = described("csv.summarize", Some(Version::new(1, 0, 0))).unwrap();
    assert_eq!(brief["side_effects"], json!([]));
    assert!(brief["versions"][0].get("schema").is_none());
}

#[test]
fn an_unknown_version_is_refused_with_the_known_ones() {
    let error = |unknown: &Unknown| {
        let version = Version::new(2, 0, 0);
        let error = ErrorObject::unknown_function("/call", "f", Some(&version), unknown);
        serde_json::to_value(error).unwrap()
    };
    let unknown = error(&Unknown::Function);
    assert_eq!(unknown["code"], "FUNCTION_NOT_FOUND");
    assert_eq!(unknown["source"], json!({"pointer": "/call/function"}));
    assert_eq!(unknown["details"], json!({"function": "f"}));
    let available = vec!["1.0.0"];
    let unknown = error(&Unknown::Version { available });
    assert_eq!(unknown["source"], json!({"pointer": "/call/version"}));
    assert_eq!(
        unknown["details"],
        json!({"function": "f", "requested_version": "2.0.0", "available_versions": ["1.0.0"]})
    );
}

#[test]
fn the_worst_part_decides_the_health_of_the_service() {
    use HealthStatus::{Degraded, Healthy, Unhealthy};
    let view = |database: HealthStatus, queue: HealthStatus, include_details: bool| {
        let latency = Some(Duration::from_millis(3));
        let components = BTreeMap::from([
            (
                HealthComponent::Database,
                ComponentHealth::new(database, latency),
            ),
            (HealthComponent::Queue, ComponentHealth::new(queue, None)),
        ]);
        let arguments = HealthArguments {
            component: None,
            include_details,
        };
        HealthView::new(&arguments, components, NOW)
    };
    for (database, queue, word, status) in [
        (Healthy, Healthy, "healthy", 200),
        (Degraded, Healthy, "degraded", 200),
        (Degraded, Unhealthy, "unhealthy", 503),
    ] {
        let view = view(database, queue, false);
        assert_eq!(view.http_status(), status);
        assert_eq!(
            serde_json::to_value(view).unwrap(),
            json!({"status": word, "timestamp": NOW.to_string()})
        );
    }
    let shown = serde_json::to_value(view(Healthy, Healthy, true)).unwrap();
    assert_eq!(
        shown["components"],
        json!({
            "database": {"status": "healthy", "latency": {"value": 3, "unit": "millisecond"}},
            "queue": {"status": "healthy"},
        })
    );
}
