//! `async:fn:list`: the caller's operations, page by page.

use std::collections::BTreeSet;

use serde_json::json;
use tests::shape::assert_shape;
use tests::wait::until;

use super::server::{LIST, Server};

/// More pages than any caller of the suite has.
const PAGES_MAX: usize = 1000;

/// Reads all pages and returns the ids, each of which occurs once.
async fn walk(server: &Server, function: &str, limit: usize) -> BTreeSet<String> {
    let mut arguments = json!({"function": function, "limit": limit});
    let mut ids = BTreeSet::new();
    for _ in 0..PAGES_MAX {
        let page = server.system(LIST, &arguments).await;
        page.has_result(&json!({"operations": "<array>", "next_cursor?": "<anything>"}));
        let operations = page.result()["operations"].as_array().unwrap();
        assert!(operations.len() <= limit, "more than the limit\n{page}");
        for operation in operations {
            let shape = json!({
                "id": "<text>", "function": function, "version": "<text>", "status": "<text>",
                "progress?": "<anything>", "started_at?": "<time>",
            });
            assert_shape(&shape, operation, &page);
            let id = operation["id"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "the same id twice\n{page}");
        }
        // At the end it may be null, as the table says, or absent, as other pages do.
        match page.result()["next_cursor"].as_str() {
            Some(cursor) => arguments["cursor"] = json!(cursor),
            None => return ids,
        }
    }
    panic!("more than {PAGES_MAX} pages");
}

#[tokio::test]
async fn every_operation_is_listed_whatever_the_page_size() {
    let server = Server::start();
    let mut begun = BTreeSet::new();
    for _ in 0..3 {
        let exchange = server.begin(&server.slow).await;
        server.cancel(&exchange).await.result();
        let id = exchange.data("async")["operation_id"].as_str().unwrap();
        begun.insert(id.to_owned());
    }
    for limit in [2, 50] {
        // A list is eventually consistent.
        until("the whole list", async || {
            let listed = walk(&server, &server.slow.function, limit).await;
            begun.is_subset(&listed).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_list_contains_only_what_matches_its_filter() {
    let server = Server::start();
    let begun = server.begin(&server.slow).await;
    server.cancel(&begun).await.result();
    for (arguments, member, expected) in [
        (json!({"status": "cancelled"}), "status", "cancelled"),
        (json!({"status": "failed", "limit": 10}), "status", "failed"),
        (
            json!({"function": server.slow.function}),
            "function",
            server.slow.function.as_str(),
        ),
    ] {
        let page = server.system(LIST, &arguments).await;
        page.has_result(&json!({"operations": "<array>"}));
        for operation in page.result()["operations"].as_array().unwrap() {
            assert_eq!(operation[member], expected, "{page}");
        }
    }
}

#[tokio::test]
async fn wrong_filters_limits_and_cursors_are_refused() {
    let server = Server::start();
    for (member, value) in [
        ("status", json!("almost")),
        ("limit", json!(0)),
        ("limit", json!("ten")),
        ("cursor", json!("no cursor")),
    ] {
        let exchange = server.system(LIST, &json!({ member: value })).await;
        let pointer = format!("/call/arguments/{member}");
        exchange.is_refused(&["INVALID_ARGUMENTS"], &pointer);
    }
}
