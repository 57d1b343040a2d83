//! Callbacks: what is sent, when, and how each attempt is recorded.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shared::aws::{Aws, http_connector};
use shared::clock::Clock as _;
use shared::domain::limits::GONE_RETENTION;
use shared::domain::time::Timestamp;
use shared::random::SeededRandom;
use shared::store::table::TTL_ATTRIBUTE;
use tests::queues::QueueKind;
use tests::receiver::Receiver;
use tests::samples::incompressible;
use tests::world::World;
use tokio::net::TcpListener;

pub(super) async fn ended(world: &World, receiver: &Receiver, extra: Value) -> String {
    let mut body =
        json!({"function": "demo.echo", "arguments": {"a": 1}, "callback_url": receiver.url});
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    let id = world.submit(body).await.json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(world.pump(QueueKind::Dispatch).await);
    id
}

#[tokio::test]
async fn each_end_is_posted_with_its_data_and_a_signature() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let submit = async |function: &str| {
        let body = json!({
        "function": function, "callback_url": receiver.url,
        "metadata": {"n": 18_446_744_073_709_551_615_u64},
        });
        world.submit(body).await.json["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let waiting = world.show(&submit("demo.echo").await).await;
    assert_eq!(
        waiting["callback"],
        json!({
            "url": receiver.url.replace("token=secret", "REDACTED"),
            "events": ["completed", "failed", "cancelled"], "status": "waiting", "attempts": [],
        })
    );
    submit("demo.fail").await;
    world.drain().await;
    let cancelled = submit("demo.echo").await;
    world
        .request("POST", &format!("/operations/{cancelled}/cancel"), &[], "")
        .await;
    world.drain().await;

    let deliveries = receiver.received();
    let [completed, failed, cancelled] = deliveries.as_slice() else {
        panic!("{} deliveries", deliveries.len())
    };
    assert_eq!(completed.header("content-type"), "application/json");
    assert_eq!(
        completed.header("user-agent"),
        concat!("Ferry/", env!("CARGO_PKG_VERSION"))
    );
    assert!(completed.header("webhook-id").starts_with("msg_"));
    assert_eq!(completed.header("webhook-id").len(), 30);
    let body = completed.verified();
    assert_eq!(
        body,
        json!({
            "type": "forrst.operation.completed", "timestamp": "2027-01-15T08:00:00.000Z",
            "data": {
                "operation_id": waiting["id"], "function": "demo.echo", "version": "1.0.0",
                "status": "completed", "attempt": 1,
                "metadata": {"n": 18_446_744_073_709_551_615_u64}, "result": {},
                "created_at": "2027-01-15T08:00:00.000Z",
                "completed_at": "2027-01-15T08:00:00.000Z",
            }
        })
    );
    let body = failed.verified();
    assert_eq!(body["type"], "forrst.operation.failed");
    assert_eq!(
        body["data"]["errors"],
        json!([{"code": "DEMO_FAILURE", "message": "asked to fail"}])
    );
    let body = cancelled.verified();
    assert_eq!(
        (&body["type"], &body["data"]["status"]),
        (&json!("forrst.operation.cancelled"), &json!("cancelled"))
    );
    assert!(body["data"]["cancelled_at"].is_string() && body["data"]["completed_at"].is_null());

    let delivered = world.show(waiting["id"].as_str().unwrap()).await["callback"].clone();
    assert_eq!(
        (
            &delivered["status"],
            &delivered["attempts"][0]["status_code"]
        ),
        (&json!("delivered"), &json!(200))
    );
    assert!(delivered["next_attempt_at"].is_null());
}

#[tokio::test]
async fn a_failing_receiver_is_retried_by_the_schedule_and_then_visibly_given_up() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.answer_next([
        (500, None),
        (302, None),
        (429, None),
        (400, None),
        (503, None),
        (500, None),
    ]);
    let id = ended(&world, &receiver, json!({})).await;
    world.drain_in_steps(Duration::from_secs(30)).await;
    assert_eq!(receiver.received().len(), 6);
    let ids: std::collections::HashSet<_> = receiver
        .received()
        .iter()
        .map(|delivery| delivery.header("webhook-id"))
        .collect();
    assert_eq!(ids.len(), 1, "one event has several ids");
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(callback["status"], "exhausted");
    let statuses: Vec<_> = callback["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["status_code"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [500, 302, 429, 400, 503, 500]);
    let timestamps: Vec<i64> = receiver
        .received()
        .iter()
        .map(|delivery| delivery.header("webhook-timestamp").parse().unwrap())
        .collect();
    for ((pair, wait), slack) in timestamps
        .windows(2)
        .zip([5, 30, 120, 600, 3600])
        .zip([31, 33, 42, 90, 390])
    {
        let waited = pair[1] - pair[0];
        assert!(
            (wait..=wait + slack).contains(&waited),
            "{waited} s instead of {wait}"
        );
    }
}

#[tokio::test]
async fn the_next_attempt_is_shown_and_a_receiver_may_delay_it() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.answer_next([
        (503, Some("40")),
        (429, Some("Fri, 15 Jan 2027 08:10:00 GMT")),
        (503, Some("soon")),
    ]);
    let id = ended(&world, &receiver, json!({})).await;
    assert!(world.pump(QueueKind::Callback).await);
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(
        (&callback["status"], &callback["next_attempt_at"]),
        (&json!("due"), &json!("2027-01-15T08:00:40.000Z"))
    );
    assert!(
        !world.pump(QueueKind::Callback).await,
        "the wake-up is delayed"
    );
    world.clock.advance(Duration::from_secs(40));
    assert!(world.pump(QueueKind::Callback).await);
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(callback["next_attempt_at"], "2027-01-15T08:10:00.000Z");
    world.drain().await;
    assert_eq!(world.show(&id).await["callback"]["status"], "delivered");
    assert_eq!(receiver.received().len(), 4);
}

#[tokio::test]
async fn a_receiver_that_answers_gone_is_not_retried() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.answer_next([(410, None)]);
    let id = ended(&world, &receiver, json!({})).await;
    world.drain().await;
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(world.show(&id).await["callback"]["status"], "gone");
}

#[tokio::test]
async fn only_the_requested_events_are_posted() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = ended(
        &world,
        &receiver,
        json!({"callback_events": ["failed", "cancelled"]}),
    )
    .await;
    world.drain().await;
    assert!(receiver.received().is_empty());
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(
        (&callback["status"], &callback["events"]),
        (&json!("skipped"), &json!(["failed", "cancelled"]))
    );
    let path = format!("/operations/{id}/redeliver");
    let response = world.request("POST", &path, &[], "").await;
    assert_eq!(
        (response.status, &response.json["code"]),
        (409, &json!("CONFLICT"))
    );
}

#[tokio::test]
async fn a_redelivery_restarts_the_schedule_with_the_same_id_and_keeps_the_history() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = ended(&world, &receiver, json!({"ttl_seconds": 60})).await;
    let path = format!("/operations/{id}/redeliver");
    let due = world.request("POST", &path, &[], "").await;
    assert_eq!((due.status, &due.json["code"]), (409, &json!("CONFLICT")));
    world.drain().await;
    receiver.answer_next([(500, None)]);
    let again = world.request("POST", &path, &[], "").await;
    assert_eq!((again.status, &again.json["id"]), (202, &json!(id)));
    assert!(world.pump(QueueKind::Callback).await);
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(
        (
            &callback["status"],
            callback["attempts"].as_array().unwrap().len()
        ),
        (&json!("due"), 2)
    );
    world.drain().await;
    let deliveries = receiver.received();
    assert_eq!(deliveries.len(), 3);
    assert_eq!(
        deliveries[0].header("webhook-id"),
        deliveries[2].header("webhook-id")
    );
    assert_eq!(deliveries[0].body, deliveries[2].body);
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(
        (
            &callback["status"],
            callback["attempts"].as_array().unwrap().len()
        ),
        (&json!("delivered"), 3)
    );
}

#[tokio::test]
async fn a_slow_receiver_does_not_delay_the_others_of_its_batch() {
    let world = World::start().await;
    // Accepts connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = json!({"callback_url": format!("http://{}/", listener.local_addr().unwrap())});
    let receiver = Receiver::start().await;
    let slow = ended(&world, &receiver, silent).await;
    let mut quick = Vec::new();
    for _ in 0..9 {
        quick.push(ended(&world, &receiver, json!({})).await);
    }
    let status = async |id: &str| world.show(id).await["callback"]["status"].clone();
    let others = async {
        for id in &quick {
            while status(id).await != "delivered" {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(status(&slow).await, "due");
        world.clock.advance(Duration::from_secs(5));
    };
    let worker = world.another_worker();
    let batch = world.pump_by(&worker, QueueKind::Callback, 10);
    let (served, ()) = tokio::join!(batch, others);
    assert!(served);
    let callback = world.show(&slow).await["callback"].clone();
    assert_eq!(callback["attempts"][0]["error"], "timed out");
    assert_eq!(callback["attempts"][0]["duration_ms"], 5000);
}

#[tokio::test]
async fn a_large_result_is_omitted_and_marked_as_omitted() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let arguments = json!({"text": "x".repeat(70_000)});
    ended(&world, &receiver, json!({"arguments": arguments})).await;
    world.drain().await;
    let body = receiver.received()[0].verified();
    assert_eq!(
        (&body["data"]["result_omitted"], &body["data"]["result"]),
        (&json!(true), &Value::Null)
    );
}

#[tokio::test]
async fn an_unreachable_receiver_is_a_failed_attempt_with_a_reason() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let body = json!({"function": "demo.echo", "callback_url": "http://127.0.0.1:9/"});
    let id = world.submit(body).await.json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(world.pump(QueueKind::Dispatch).await);
    assert!(world.pump(QueueKind::Callback).await);
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(callback["attempts"][0]["error"], "connection refused");
    assert!(callback["attempts"][0]["status_code"].is_null());
    drop(receiver);
}

#[tokio::test]
async fn receivers_that_failed_at_the_same_time_are_retried_at_different_times() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.answer_next([(500, None); 4]);
    let mut waits = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let id = ended(&world, &receiver, json!({})).await;
        assert!(world.pump(QueueKind::Callback).await);
        let callback = world.show(&id).await["callback"].clone();
        let next_attempt_at = callback["next_attempt_at"].as_str().unwrap();
        waits.insert(
            next_attempt_at
                .parse::<Timestamp>()
                .unwrap()
                .since(world.clock.now()),
        );
    }
    assert_eq!(waits.len(), 4, "{waits:?}");
    let longest = Duration::from_millis(5500);
    assert!(
        waits
            .iter()
            .all(|wait| (Duration::from_secs(5)..=longest).contains(wait))
    );
}

#[tokio::test]
async fn the_history_has_as_many_attempts_as_one_round() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    receiver.answer_next([(500, None); 6]);
    receiver.answer_next([(503, None); 6]);
    let id = ended(&world, &receiver, json!({})).await;
    world.drain().await;
    let path = format!("/operations/{id}/redeliver");
    assert_eq!(world.request("POST", &path, &[], "").await.status, 202);
    world.drain().await;
    assert_eq!(receiver.received().len(), 12);
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(callback["status"], "exhausted");
    let attempts = callback["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 6);
    assert!(attempts.iter().all(|attempt| attempt["status_code"] == 503));
}

#[tokio::test]
async fn a_url_that_is_no_longer_allowed_is_not_called() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let id = ended(&world, &receiver, json!({})).await;
    let closed = world
        .environment
        .clone()
        .with([("CALLBACK_ALLOWED_NETWORKS", "")]);
    let aws = Aws::new(&closed, http_connector(&closed).unwrap()).unwrap();
    let (clock, random) = (
        Arc::new(world.clock.clone()),
        Arc::new(SeededRandom::new(7)),
    );
    let function = callback::Handler::new(&closed, &aws, clock, random)
        .await
        .unwrap();
    let queue = world.queue(QueueKind::Callback);
    let messages = queue.receive(1).await;
    let event = serde_json::from_value(queue.event(&messages)).unwrap();
    let response = function.handle(event).await.unwrap();
    assert!(response.batch_item_failures.is_empty());
    let callback = world.show(&id).await["callback"].clone();
    assert_eq!(
        callback["attempts"][0]["error"],
        "name not found, or its address is not allowed"
    );
    assert!(receiver.received().is_empty());
}

/// The time counts from the end, and again from a redelivery. It covers everything that the
/// operation refers to.
#[tokio::test]
async fn an_operation_with_a_callback_is_kept_for_an_outage_the_longest_schedule_and_a_day() {
    let kept = Duration::from_secs(145 * 3600);
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let text = incompressible(2000);
    let large = json!({"ttl_seconds": 60, "arguments": {"t": text}, "metadata": {"t": text}});
    let id = ended(&world, &receiver, large).await;
    world.drain().await;
    world.clock.advance(kept);
    let path = format!("/operations/{id}/redeliver");
    assert_eq!(world.request("POST", &path, &[], "").await.status, 202);
    let redelivered_at = world.clock.now();
    world.drain().await;
    assert_eq!(receiver.received().len(), 2);

    let scanned = world.dynamodb.scan().table_name("ferry").send();
    for item in scanned.await.unwrap().items() {
        let name = item["sk"].as_s().unwrap();
        let delete_at: i64 = item[TTL_ATTRIBUTE].as_n().unwrap().parse().unwrap();
        let kept_until = Timestamp::from_secs(delete_at) - GONE_RETENTION;
        // The arguments of an operation that has ended are not read any more.
        assert!(
            kept_until >= redelivered_at + kept || name.starts_with("arguments#"),
            "{name}"
        );
    }
    world.clock.advance(kept);
    assert_eq!(world.show(&id).await["metadata"]["t"], text);
    world.clock.advance(Duration::from_secs(3600));
    let path = format!("/operations/{id}");
    let gone = world.request("GET", &path, &[], "").await;
    assert_eq!(gone.status, 404);
}
