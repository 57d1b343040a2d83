//! Routes, conditional requests and lists.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};
use shared::catalogue::Catalogue;
use tests::queues::QueueKind;
use tests::samples::incompressible;
use tests::world::World;

#[tokio::test]
async fn an_etag_changes_only_when_the_operation_changes() {
    let world = World::start().await;
    let accepted = world.submit(json!({"function": "demo.echo"})).await;
    let path = format!("/operations/{}", accepted.json["id"].as_str().unwrap());
    let tag = accepted.headers["etag"].as_str().unwrap();
    let unchanged = world
        .request(
            "GET",
            &path,
            &[("if-none-match", &format!("W/{tag}, \"x\""))],
            "",
        )
        .await;
    assert_eq!((unchanged.status, unchanged.text.as_str()), (304, ""));
    assert_eq!(unchanged.headers["etag"], tag);
    assert_eq!(
        world
            .request("GET", &path, &[("if-none-match", "*")], "")
            .await
            .status,
        304
    );
    world.pump_all().await;
    let changed = world
        .request("GET", &path, &[("if-none-match", tag)], "")
        .await;
    assert_eq!(changed.status, 200);
    assert_ne!(changed.headers["etag"], tag);
}

#[tokio::test]
async fn another_method_on_a_known_path_gets_the_allowed_ones() {
    let world = World::start().await;
    for (method, path, allow) in [
        ("PUT", "/operations", "GET, HEAD, POST"),
        (
            "POST",
            "/operations/op_000000000000000000000000",
            "DELETE, GET, HEAD",
        ),
        (
            "GET",
            "/operations/op_000000000000000000000000/cancel",
            "POST",
        ),
        (
            "DELETE",
            "/operations/op_000000000000000000000000/redeliver",
            "POST",
        ),
        ("POST", "/functions", "GET, HEAD"),
        ("POST", "/health", "GET, HEAD"),
    ] {
        let response = world.request(method, path, &[], "").await;
        assert_eq!(
            (response.status, &response.json["code"]),
            (405, &json!("INVALID_REQUEST")),
            "{method} {path}"
        );
        assert_eq!(response.headers["allow"], allow);
        assert_eq!(response.headers["content-type"], "application/problem+json");
    }
    assert!(world.wire.calls().is_empty());
}

#[tokio::test]
async fn functions_and_health_need_no_store_and_health_needs_no_owner() {
    let world = World::start().await;
    let functions = world.request("GET", "/functions", &[], "").await.json;
    let listed = functions["functions"].as_array().unwrap();
    let names: Vec<_> = listed.iter().map(|function| &function["name"]).collect();
    let catalogue = Catalogue::new(true);
    let expected: Vec<_> = catalogue.entries().map(|entry| entry.name).collect();
    assert_eq!(names, expected);
    assert_eq!(
        functions["functions"][0]["arguments_schema"]["required"],
        json!(["csv"])
    );
    // An empty owner counts as no owner.
    let health = world.request_of("", "GET", "/health", &[], b"").await;
    assert_eq!((health.status, health.json), (200, json!({"status": "ok"})));
    assert_eq!(health.headers["cache-control"], "no-store");
    for (method, path) in [
        ("GET", "/functions"),
        ("GET", "/operations"),
        ("POST", "/operations"),
    ] {
        let response = world.request_of("", method, path, &[], b"{}").await;
        assert_eq!(
            (response.status, &response.json["code"]),
            (401, &json!("UNAUTHORIZED")),
            "{path}"
        );
    }
    assert!(world.wire.calls().is_empty());
}

#[tokio::test]
async fn functions_show_the_attempt_that_the_workers_timeout_leaves() {
    for (worker_timeout, shown) in [("60", 30), ("1800", 600)] {
        let world = World::with([("WORKER_TIMEOUT_SECONDS", worker_timeout)]).await;
        let functions = world.request("GET", "/functions", &[], "").await.json;
        let listed = functions["functions"].as_array().unwrap();
        let countdown = listed
            .iter()
            .find(|function| function["name"] == "demo.countdown");
        let limits = &countdown.unwrap()["limits"];
        assert_eq!(limits["attempt_timeout_seconds"], shown, "{worker_timeout}");
    }
}

#[tokio::test]
async fn a_malformed_id_is_not_found_and_costs_no_read() {
    let world = World::start().await;
    for id in [
        "x",
        "op_",
        "op_00000000000000000000000g",
        "op_00000000000000000000000A",
        "%00",
    ] {
        let response = world
            .request("GET", &format!("/operations/{id}"), &[], "")
            .await;
        assert_eq!(
            (response.status, &response.json["code"]),
            (404, &json!("ASYNC_OPERATION_NOT_FOUND")),
            "{id}"
        );
    }
    assert!(world.wire.calls().is_empty());
}

async fn pages(world: &World, query: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let response = world
            .request("GET", &format!("/operations?{query}{cursor}"), &[], "")
            .await;
        assert_eq!(response.status, 200, "{}", response.text);
        let operations = response.json["operations"].as_array().unwrap();
        pages.push(
            operations
                .iter()
                .map(|o| o["id"].as_str().unwrap().to_owned())
                .collect(),
        );
        match response.json["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn a_list_shows_each_operation_once_newest_first() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(
            world
                .submit(json!({"function": "demo.echo", "metadata": {"m": 1}}))
                .await
                .json["id"]
                .clone(),
        );
        world.clock.advance(Duration::from_millis(10));
    }
    ids.reverse();
    for limit in [1, 3, 7, 100] {
        let pages = pages(&world, &format!("limit={limit}")).await;
        assert!(pages.iter().all(|page| page.len() <= limit));
        let listed: Vec<_> = pages.concat().into_iter().map(Value::from).collect();
        assert_eq!(listed, ids, "limit {limit}");
    }
    let first = world
        .request("GET", "/operations?limit=1", &[], "")
        .await
        .json;
    assert!(
        first["operations"][0]["metadata"].is_null() && first["operations"][0]["result"].is_null()
    );
}

#[tokio::test]
async fn the_time_filters_of_a_list_are_exact_at_any_precision() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let accepted = world.submit(json!({"function": "demo.echo"})).await.json;
        ids.push(accepted["id"].as_str().unwrap().to_owned());
        world.clock.advance(Duration::from_millis(1));
    }
    let [at_0, at_1, at_2] = ids.try_into().unwrap();
    for (query, expected) in [
        ("created_before=2027-01-15T08:00:00.0000Z", vec![]),
        ("created_before=2027-01-15T08:00:00.0005Z", vec![&at_0]),
        (
            "created_before=2027-01-15T09:00:00.00100000000000000001%2B01:00",
            vec![&at_1, &at_0],
        ),
        (
            "created_after=2027-01-15T08:00:00.0005Z",
            vec![&at_2, &at_1],
        ),
        (
            concat!(
                "created_after=2027-01-15T07:59:59.9999999999Z",
                "&created_before=2027-01-15T08:00:00.00101Z"
            ),
            vec![&at_1, &at_0],
        ),
    ] {
        for limit in [1, 100] {
            let pages = pages(&world, &format!("{query}&limit={limit}")).await;
            let listed = pages.concat();
            assert!(listed.iter().eq(expected.clone()), "{query}: {listed:?}");
        }
    }
}

#[tokio::test]
async fn a_list_is_filtered_by_state_function_and_time() {
    let world = World::start().await;
    let a = world.submit(json!({"function": "demo.echo"})).await.json;
    world.pump_all().await;
    world.clock.advance(Duration::from_secs(1));
    let b = world.submit(json!({"function": "demo.fail"})).await.json;
    let listed = async |query: &str| {
        let response = world
            .request("GET", &format!("/operations?{query}"), &[], "")
            .await
            .json;
        response["operations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|o| o["id"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, [b["id"].clone(), a["id"].clone()]);
    assert_eq!(listed("status=completed").await, [a["id"].clone()]);
    assert_eq!(
        listed("status=pending&function=demo.fail").await,
        [b["id"].clone()]
    );
    for both in ["pending,completed", "completed,pending,failed"] {
        let both = listed(&format!("status={both}")).await;
        assert_eq!(both, [b["id"].clone(), a["id"].clone()]);
    }
    assert_eq!(
        listed("status=processing,failed").await,
        Vec::<Value>::new()
    );
    assert_eq!(listed("function=demo").await, Vec::<Value>::new());
    let created = a["created_at"].as_str().unwrap();
    assert_eq!(
        listed(&format!("created_after={created}")).await,
        [b["id"].clone()]
    );
    assert_eq!(
        listed(&format!("created_before={created}")).await,
        Vec::<Value>::new()
    );
    let later = b["created_at"].as_str().unwrap();
    assert_eq!(
        listed(&format!("created_before={later}")).await,
        [a["id"].clone()]
    );
    assert_eq!(
        listed(&format!("created_after={later}&created_before={created}")).await,
        Vec::<Value>::new()
    );
}

#[tokio::test]
async fn a_list_is_filtered_by_the_status_of_the_callback() {
    let world = World::start().await;
    world.submit(json!({"function": "demo.echo"})).await;
    let mut of = HashMap::new();
    for events in ["completed", "failed"] {
        world.clock.advance(Duration::from_secs(1));
        let url = "http://127.0.0.1:1/hook";
        let body = json!({
            "function": "demo.echo", "callback_url": url, "callback_events": [events],
        });
        of.insert(events, world.submit(body).await.json["id"].clone());
    }
    let listed = async |status: &str| {
        let path = format!("/operations?callback_status={status}");
        let page = world.request("GET", &path, &[], "").await.json;
        let operations = page["operations"].as_array().unwrap().iter();
        operations
            .map(|operation| operation["id"].clone())
            .collect::<Vec<_>>()
    };
    let waiting = [of["failed"].clone(), of["completed"].clone()];
    assert_eq!(listed("waiting").await, waiting);
    while world.pump(QueueKind::Dispatch).await {}
    assert_eq!(listed("waiting").await, Vec::<Value>::new());
    assert_eq!(listed("due").await, [of["completed"].clone()]);
    assert_eq!(listed("skipped").await, [of["failed"].clone()]);
}

#[tokio::test]
async fn arguments_are_shown_exactly_as_sent_to_a_read_that_includes_them() {
    let world = World::start().await;
    for text in ["short".to_owned(), incompressible(2000)] {
        let arguments = format!(r#"{{"b":1.50,"a":[1e2],"t":"{text}"}}"#);
        let body = format!(r#"{{"function":"demo.echo","arguments":{arguments}}}"#);
        let submitted = world.request("POST", "/operations", &[], &body).await.json;
        assert_eq!(submitted.get("arguments"), None);
        let path = format!("/operations/{}", submitted["id"].as_str().unwrap());
        let with_arguments = format!("{path}?include=arguments");
        for _ in 0..2 {
            let read = world.request("GET", &with_arguments, &[], "").await;
            let shown = format!(r#""arguments":{arguments},"#);
            assert!(read.text.contains(&shown), "{}", read.text);
            let read = world.request("GET", &path, &[], "").await;
            assert_eq!(read.json.get("arguments"), None);
            world.pump_all().await;
        }
    }
}

#[tokio::test]
async fn a_page_with_a_narrow_filter_reads_at_most_a_hundred_records() {
    let world = World::start().await;
    world.submit(json!({"function": "demo.fail"})).await;
    for _ in 0..110 {
        world.clock.advance(Duration::from_millis(1));
        world.submit(json!({"function": "demo.echo"})).await;
    }
    world.wire.reset();
    let first = world
        .request("GET", "/operations?function=demo.fail", &[], "")
        .await
        .json;
    assert_eq!(first["operations"], json!([]));
    let counts = world.wire.counts();
    assert_eq!((counts["Query"], counts["BatchGetItem"]), (1, 1));
    let cursor = first["next_cursor"].as_str().unwrap();
    let path = format!("/operations?function=demo.fail&cursor={cursor}");
    let second = world.request("GET", &path, &[], "").await.json;
    assert_eq!(second["operations"].as_array().unwrap().len(), 1);
    assert!(second["next_cursor"].is_null());
    // A cursor is valid only for the list that it comes from.
    let path = format!("/operations?cursor={cursor}");
    let other = world.request("GET", &path, &[], "").await;
    assert_eq!(
        (other.status, &other.json["errors"][0]["pointer"]),
        (400, &json!("/query/cursor"))
    );
    let bobs = world
        .request_of(
            "bob",
            "GET",
            &format!("/operations?function=demo.fail&cursor={cursor}"),
            &[],
            b"",
        )
        .await;
    assert_eq!(bobs.status, 400);
}
