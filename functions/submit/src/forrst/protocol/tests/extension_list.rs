//! The options of extensions.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{
    CallbackRequest, DeadlineLimit, DeadlineOptions, Extension, ExtensionName, Extensions,
    ParsedBody, Spelling, Spellings,
};
use super::{NOW, assert_faults, envelope, read, with_extension};
use shared::domain::callback::CallbackEvent;
use shared::domain::callback::SignatureVersion;
use shared::domain::time::Timestamp;

fn extensions(envelope: &Value) -> Extensions {
    read(envelope).request.unwrap().extensions
}

#[test]
fn every_wrong_option_is_reported_with_its_place() {
    let long = "x".repeat(129);
    let url = "https://example.com/";
    for (name, options, members) in [
        ("async", json!({"preferred": "yes"}), &["preferred"][..]),
        ("async", json!({"accept": 0}), &["accept"]),
        ("async", json!({"callback_url": []}), &["callback_url"]),
        ("webhook", json!({}), &["callback_url"]),
        ("webhook", json!({"callback_url": 1}), &["callback_url"]),
        ("webhook", json!({"callback_url": null}), &["callback_url"]),
        (
            "webhook",
            json!({"callback_url": url, "events": [], "signature_version": "v2"}),
            &["events", "signature_version"],
        ),
        (
            "webhook",
            json!({"callback_url": url, "events": "operation.failed"}),
            &["events"],
        ),
        (
            "webhook",
            json!({"callback_url": url, "events": ["operation.failed", "failed", 1]}),
            &["events"],
        ),
        (
            "webhook",
            json!({"callback_url": url, "signature_version": 1}),
            &["signature_version"],
        ),
        ("idempotency", json!({}), &["key"]),
        ("idempotency", json!({"key": null}), &["key"]),
        ("idempotency", json!({"key": ""}), &["key"]),
        ("idempotency", json!({"key": "é"}), &["key"]),
        ("idempotency", json!({"key": "x".repeat(256)}), &["key"]),
        ("deadline", json!({}), &["value", "unit"]),
        ("deadline", json!({"value": null, "unit": null}), &["unit"]),
        (
            "deadline",
            json!({"value": null, "unit": "second"}),
            &["value"],
        ),
        ("deadline", json!({"value": 1}), &["unit"]),
        ("deadline", json!({"value": 1, "unit": "day"}), &["unit"]),
        (
            "deadline",
            json!({"value": 0, "unit": "second"}),
            &["value"],
        ),
        (
            "deadline",
            json!({"value": -1, "unit": "second"}),
            &["value"],
        ),
        (
            "deadline",
            json!({"value": 1.5, "unit": "second"}),
            &["value"],
        ),
        (
            "deadline",
            json!({"value": "1", "unit": "second"}),
            &["value"],
        ),
        (
            "deadline",
            json!({"value": 169, "unit": "hour"}),
            &["value"],
        ),
        (
            "deadline",
            json!({"value": u64::MAX, "unit": "hour"}),
            &["value"],
        ),
        (
            "deadline",
            json!({"value": 1, "unit": "iso8601"}),
            &["value"],
        ),
        (
            "deadline",
            json!({"value": "tomorrow", "unit": "iso8601"}),
            &["value"],
        ),
        ("tracing", json!({}), &["trace_id", "span_id"]),
        (
            "tracing",
            json!({"trace_id": "", "span_id": long, "parent_span_id": "", "baggage": []}),
            &["trace_id", "span_id", "parent_span_id", "baggage"],
        ),
    ] {
        assert_wrong(name, &options, members);
    }
}

/// The members of the options that are wrong, and no others.
fn assert_wrong(name: &str, options: &Value, members: &[&str]) {
    let places: Vec<_> = members
        .iter()
        .map(|member| format!("/extensions/0/options/{member}"))
        .collect();
    let expected: Vec<_> = places
        .iter()
        .map(|place| ("INVALID_ARGUMENTS", place.as_str()))
        .collect();
    assert_faults(&with_extension(options, name), &expected);
}

#[test]
fn a_wrong_start_is_reported_with_its_place() {
    for after in [json!(-1), json!(0.5), json!("1"), json!(604_801)] {
        let options = json!({"start_after_seconds": after});
        assert_wrong("async", &options, &["start_after_seconds"]);
    }
    for options in [
        json!({"start_at": 1}),
        json!({"start_at": "tomorrow"}),
        json!({"start_after_seconds": 0, "start_at": NOW.to_string()}),
    ] {
        assert_wrong("async", &options, &["start_at"]);
    }
}

#[test]
fn an_optional_option_that_is_null_counts_as_left_out() {
    let url = "https://example.com/";
    for (name, with_null, without) in [
        (
            "async",
            json!({"preferred": null, "accept": true, "callback_url": null}),
            json!({"accept": true}),
        ),
        (
            "async",
            json!({"start_after_seconds": null, "start_at": null}),
            json!({}),
        ),
        ("async", Value::Null, json!({})),
        (
            "webhook",
            json!({"callback_url": url, "events": null, "signature_version": null}),
            json!({"callback_url": url}),
        ),
        (
            "tracing",
            json!({"trace_id": "t", "span_id": "s", "parent_span_id": null, "baggage": null}),
            json!({"trace_id": "t", "span_id": "s"}),
        ),
    ] {
        assert_eq!(
            extensions(&with_extension(&with_null, name)),
            extensions(&with_extension(&without, name)),
            "{with_null}"
        );
    }
}

#[test]
fn the_value_of_a_deadline_is_a_whole_number_in_any_spelling() {
    for (value, secs) in [
        ("90", Some(90)),
        ("90.0", Some(90)),
        ("9E+1", Some(90)),
        ("9000e-2", Some(90)),
        ("6.048e5", Some(604_800)),
        ("604800.5", None),
        ("6.0481e5", None),
        ("0.0", None),
        ("1e-400", None),
        ("1e400", None),
    ] {
        let envelope = with_extension(&json!({"value": 0, "unit": "second"}), "deadline");
        let envelope = envelope.to_string();
        let envelope = envelope.replace(r#""value":0"#, &format!(r#""value":{value}"#));
        let request = ParsedBody::of(envelope.as_bytes()).request;
        let limit = request
            .ok()
            .map(|request| request.extensions.deadline.unwrap().options.limit);
        let expected = secs.map(|secs| DeadlineLimit::After(Duration::from_secs(secs)));
        assert_eq!(limit, expected, "{value}");
    }
}

#[test]
fn required_options_are_reported_when_there_are_no_options() {
    let mut envelope = envelope();
    envelope["extensions"] = json!([{"urn": "urn:forrst:ext:idempotency"}]);
    assert_faults(
        &envelope,
        &[("INVALID_ARGUMENTS", "/extensions/0/options/key")],
    );
    envelope["extensions"] =
        json!([{"urn": "urn:forrst:ext:async"}, {"urn": "urn:forrst:ext:retry"}]);
    assert!(!extensions(&envelope).prefers_async());
}

#[test]
fn accept_means_the_same_as_preferred() {
    for (options, preferred) in [
        (json!({"accept": true}), true),
        (json!({"preferred": true, "accept": false}), true),
        (json!({"preferred": false, "accept": true}), false),
    ] {
        let read = extensions(&with_extension(&options, "async"));
        assert_eq!(read.prefers_async(), preferred);
    }
}

#[test]
fn webhook_wins_over_async_and_keeps_the_spelling_of_events() {
    let mut envelope = envelope();
    envelope["extensions"] = json!([
        {"urn": "urn:forrst:ext:async", "options": {"callback_url": "https://a.example/"}},
    ]);
    let read = extensions(&envelope);
    let asked_for = CallbackRequest {
        url: "https://a.example/",
        pointer: "/extensions/0/options/callback_url".to_owned(),
        events: CallbackEvent::ALL.to_vec(),
    };
    assert_eq!(read.callback(), Some(asked_for));

    let webhook = json!({"urn": "urn:forrst:ext:webhook", "options": {
        "callback_url": "https://w.example/",
        "events": ["operation.failed", "forrst.operation.completed", "forrst.operation.failed"],
        "signature_version": "v1a",
    }});
    envelope["extensions"].as_array_mut().unwrap().push(webhook);
    let read = extensions(&envelope);
    let asked_for = CallbackRequest {
        url: "https://w.example/",
        pointer: "/extensions/1/options/callback_url".to_owned(),
        events: vec![CallbackEvent::Completed, CallbackEvent::Failed],
    };
    assert_eq!(read.callback(), Some(asked_for));
    let options = read.webhook.unwrap().options;
    assert_eq!(options.signature_version, Some(SignatureVersion::V1a));
    let spelled: Vec<_> = options.events.iter().map(|event| &event.spelling).collect();
    assert_eq!(spelled, ["operation.failed", "forrst.operation.completed"]);
}

fn deadline(options: &Value) -> Extension<DeadlineOptions> {
    extensions(&with_extension(options, "deadline"))
        .deadline
        .unwrap()
}

#[test]
fn a_deadline_is_a_duration_or_a_point_in_time() {
    for (options, millis) in [
        (json!({"value": 1, "unit": "millisecond"}), 1),
        (json!({"value": 2, "unit": "second"}), 2000),
        (json!({"value": 3, "unit": "minute"}), 180_000),
        (json!({"value": 168, "unit": "hour"}), 7 * 86_400_000),
    ] {
        let deadline = deadline(&options);
        let after = Duration::from_millis(millis);
        assert_eq!(deadline.options.limit, DeadlineLimit::After(after));
        assert_eq!(deadline.options.at(NOW), NOW + after);
        assert_eq!(deadline.error(NOW, NOW), None);
        assert_eq!(deadline.passed(NOW), None);
    }
    let at = NOW + Duration::from_secs(7 * 86_400);
    let ahead = json!({"value": at.to_string(), "unit": "iso8601"});
    assert_eq!(deadline(&ahead).options.limit, DeadlineLimit::At(at));
    assert_eq!(deadline(&ahead).options.at(NOW), at);
    assert_eq!(deadline(&ahead).error(NOW, NOW), None);
}

/// Seconds after the request arrived.
#[test]
fn a_deadline_counts_from_the_start() {
    const WEEK: u64 = 7 * 86_400;
    let after = |secs: u64| NOW + Duration::from_secs(secs);
    let start_after = |secs: u64| json!({"start_after_seconds": secs});
    let start_at = |secs| json!({"start_at": after(secs).to_string()});
    let past = json!({"start_at": "2020-01-01T00:00:00Z"});
    let hour = || json!({"value": 1, "unit": "hour"});
    let at = |secs| json!({"value": after(secs).to_string(), "unit": "iso8601"});
    let in_start = "/extensions/0/options/start_at";
    let in_deadline = "/extensions/1/options/value";
    for (start, deadline, starts_at, deadline_at, error) in [
        (json!({}), hour(), 0, 3600, None),
        (start_after(0), hour(), 0, 3600, None),
        (past, hour(), 0, 3600, None),
        (start_after(60), hour(), 60, 3660, None),
        (start_at(60), hour(), 60, 3660, None),
        (start_at(60), at(61), 60, 61, None),
        (start_at(WEEK), at(2 * WEEK), WEEK, 2 * WEEK, None),
        (
            start_at(WEEK + 1),
            hour(),
            WEEK + 1,
            WEEK + 3601,
            Some(in_start),
        ),
        (
            start_after(60),
            at(WEEK + 61),
            60,
            WEEK + 61,
            Some(in_deadline),
        ),
        // The work could never run.
        (start_after(60), at(60), 60, 60, Some(in_deadline)),
    ] {
        let mut envelope = envelope();
        envelope["extensions"] = json!([
            {"urn": "urn:forrst:ext:async", "options": start},
            {"urn": "urn:forrst:ext:deadline", "options": deadline},
        ]);
        let read = extensions(&envelope);
        assert_eq!(read.starts_at(NOW), after(starts_at), "{envelope}");
        assert_eq!(
            read.deadline_at(NOW),
            Some(after(deadline_at)),
            "{envelope}"
        );
        let errors = read.time_errors(NOW);
        let places: Vec<_> = errors.iter().map(|(place, _)| place.as_str()).collect();
        assert_eq!(places, Vec::from_iter(error), "{envelope}");
    }
}

#[test]
fn a_deadline_that_has_passed_or_is_too_far_is_refused() {
    let at = |at: Timestamp| deadline(&json!({"value": at.to_string(), "unit": "iso8601"}));
    let passed = at(NOW).passed(NOW).unwrap();
    // A retry would meet the same error.
    assert_eq!(passed.retry(), None);
    let passed = &passed.as_slice()[0];
    assert_eq!(passed.code(), "DEADLINE_EXCEEDED");
    assert_eq!(
        serde_json::to_value(passed).unwrap()["details"],
        json!({
            "deadline": {"value": NOW.to_string(), "unit": "iso8601"},
            "elapsed": {"value": 0, "unit": "millisecond"},
        })
    );
    let far = at(NOW + Duration::from_millis(7 * 86_400_000 + 1));
    let (pointer, _) = far.error(NOW, NOW).unwrap();
    assert_eq!(pointer, "/extensions/0/options/value");
}

#[test]
fn unknown_extensions_are_one_error() {
    let mut envelope = envelope();
    envelope["extensions"] = json!([
        {"urn": "urn:forrst:ext:async"},
        {"urn": "urn:acme:ext:audit"},
        {"urn": "urn:forrst:ext:caching"},
    ]);
    assert_faults(
        &envelope,
        &[("EXTENSION_NOT_SUPPORTED", "/extensions/1/urn")],
    );
    let errors = read(&envelope).request.unwrap_err();
    let error = serde_json::to_value(&errors.as_slice()[0]).unwrap();
    let supported = ExtensionName::ALL.map(|name| name.urn(Spelling::Canonical));
    assert_eq!(
        error["details"],
        json!({
            "unsupported": ["urn:acme:ext:audit", "urn:forrst:ext:caching"],
            "supported": supported,
        })
    );
}

#[test]
fn too_many_extensions_are_one_error_and_none_is_read() {
    let unknown = |number| json!({"urn": format!("urn:acme:ext:{number}")});
    let mut envelope = envelope();
    let mut with = |extensions: Vec<Value>| {
        envelope["extensions"] = json!(extensions);
        envelope.clone()
    };
    let most = with((0..32).map(unknown).collect());
    assert_faults(&most, &[("EXTENSION_NOT_SUPPORTED", "/extensions/0/urn")]);
    let known = json!({"urn": "urn:forrst:ext:retry"});
    let last = with((0..31).map(unknown).chain([known.clone()]).collect());
    assert_faults(&last, &[("EXTENSION_NOT_SUPPORTED", "/extensions/0/urn")]);
    assert_eq!(
        read(&last).echo.spellings.urn(ExtensionName::Async),
        "urn:forrst:ext:async"
    );

    let mut too_many = vec![known, json!(1)];
    too_many.extend((0..31).map(unknown));
    let too_many = with(too_many);
    assert_faults(&too_many, &[("INVALID_REQUEST", "/extensions")]);
    let (errors, echo) = (read(&too_many).request.unwrap_err(), read(&too_many).echo);
    let error = serde_json::to_value(&errors.as_slice()[0]).unwrap();
    assert_eq!(
        error["message"],
        "/extensions must have at most 32 elements"
    );
    assert_eq!(
        echo.spellings.urn(ExtensionName::Async),
        "urn:cline:forrst:ext:async"
    );
}

#[test]
fn the_listed_unknown_extensions_are_bounded() {
    let long = "x".repeat(255 - "urn:acme:00".len());
    let unknown = |number| format!("urn:acme:{number:02}{long}");
    let mut envelope = envelope();
    let all = (0..32).map(|number| json!({"urn": unknown(number)}));
    envelope["extensions"] = all.collect();
    let errors = read(&envelope).request.unwrap_err();
    let error = serde_json::to_value(&errors.as_slice()[0]).unwrap();
    let first: Vec<_> = (0..20).map(unknown).collect();
    assert_eq!(error["details"]["unsupported"], json!(first));

    envelope["extensions"] = json!([{"urn": unknown(0) + "x"}]);
    assert_faults(&envelope, &[("INVALID_REQUEST", "/extensions/0/urn")]);
}

#[test]
fn a_repeated_extension_is_refused_in_either_spelling() {
    for second in ["urn:forrst:ext:retry", "urn:cline:forrst:ext:retry"] {
        let mut envelope = envelope();
        envelope["extensions"] = json!([
            {"urn": "urn:forrst:ext:retry"},
            {"urn": "urn:forrst:ext:async"},
            {"urn": second},
        ]);
        assert_faults(&envelope, &[("INVALID_REQUEST", "/extensions/2/urn")]);
    }
}

#[test]
fn each_extension_is_answered_as_it_was_spelled() {
    let echo = read(&envelope()).echo;
    assert_eq!(
        [
            ExtensionName::Async,
            ExtensionName::Tracing,
            ExtensionName::Retry
        ]
        .map(|name| echo.spellings.urn(name)),
        [
            "urn:cline:forrst:ext:async",
            "urn:forrst:ext:tracing",
            "urn:cline:forrst:ext:retry"
        ]
    );
    let none = Spellings::default();
    assert_eq!(none.urn(ExtensionName::Retry), "urn:cline:forrst:ext:retry");
}
