//! Lists of an owner's operations.

use serde_json::{Value, json};

use tests::wait::until;

use super::BUNDLE;

fn ids(page: &Value) -> Vec<String> {
    let operations = page["operations"].as_array().unwrap();
    let id = |operation: &Value| operation["id"].as_str().unwrap().to_owned();
    operations.iter().map(id).collect()
}

#[tokio::test]
async fn an_owners_operations_are_listed_newest_first_filtered_and_in_pages() {
    let api = BUNDLE.caller("list");
    let mut submitted = Vec::new();
    for function in [
        "demo.echo",
        "demo.fail",
        "demo.echo",
        "demo.echo",
        "demo.fail",
    ] {
        let accepted = api
            .submit(&json!({"function": function, "metadata": {"n": 1}}))
            .await;
        submitted.push((function, accepted.id()));
        let status = if function == "demo.echo" {
            "completed"
        } else {
            "failed"
        };
        api.wait_for_status(&accepted.id(), status).await;
    }
    let named = |wanted: &str| -> Vec<String> {
        let newest_first = submitted.iter().rev();
        newest_first
            .filter(|(function, _)| wanted.is_empty() || *function == wanted)
            .map(|(_, id)| id.clone())
            .collect()
    };
    let all = named("");

    // The index is eventually consistent.
    let page = until("the whole list", async || {
        let page = api.get("/operations").await.json();
        (ids(&page).len() == all.len()).then_some(page)
    })
    .await;
    assert_eq!(ids(&page), all);
    assert!(page.get("next_cursor").is_none());
    for operation in page["operations"].as_array().unwrap() {
        assert!(operation.get("result").is_none());
        assert!(operation.get("metadata").is_none());
    }

    for (query, expected) in [
        ("status=failed", named("demo.fail")),
        ("status=pending", vec![]),
        ("function=demo.echo", named("demo.echo")),
        (
            "function=demo.echo&status=completed&limit=100",
            named("demo.echo"),
        ),
        ("created_after=2999-01-01T00:00:00Z", vec![]),
        ("created_before=2999-01-01T00:00:00Z", all.clone()),
    ] {
        let page = api.get(&format!("/operations?{query}")).await.json();
        assert_eq!(ids(&page), expected, "{query}");
    }

    let first = api.get("/operations?limit=2").await.json();
    let mut listed = ids(&first);
    assert_eq!(listed, all[..2]);
    let mut cursor = first["next_cursor"].as_str().map(str::to_owned);
    while let Some(next) = cursor {
        let page = api
            .get(&format!("/operations?limit=2&cursor={next}"))
            .await
            .json();
        listed.extend(ids(&page));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
    }
    assert_eq!(listed, all);

    let cursor = first["next_cursor"].as_str().unwrap();
    let other_owner = BUNDLE.caller("list-elsewhere");
    for response in [
        other_owner
            .get(&format!("/operations?cursor={cursor}"))
            .await,
        api.get(&format!("/operations?status=failed&cursor={cursor}"))
            .await,
        api.get("/operations?cursor=AAAA").await,
    ] {
        let problem = response.assert_problem(400, "INVALID_ARGUMENTS");
        assert_eq!(problem["errors"][0]["pointer"], "/query/cursor");
    }
}
