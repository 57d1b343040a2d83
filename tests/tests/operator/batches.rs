//! `requeue` with a queue that refuses messages. The local queues accept every well-formed one.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use operator::requeue::{Progress, Requeue};
use serde_json::{Value, json};
use shared::aws::{Aws, http_connector};
use shared::config::Environment;
use shared::queue::Queue;
use tests::world::World;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{created, requeue};

/// A queue that refuses messages by their places in the batches that it receives, one list of
/// places for each batch.
async fn picky_queue(refused: Vec<Vec<usize>>) -> (Queue, mpsc::UnboundedReceiver<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (batches, received) = mpsc::unbounded_channel();
    let refused = Mutex::new(refused.into_iter());
    let response = move |body: Bytes| {
        let request: Value = serde_json::from_slice(&body).unwrap();
        let entries = request["Entries"].as_array().unwrap();
        let bodies = entries
            .iter()
            .map(|entry| entry["MessageBody"].as_str().unwrap().to_owned());
        batches.send(bodies.collect()).unwrap();
        let refused = refused.lock().unwrap().next().unwrap_or_default();
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            let id = &entry["Id"];
            if refused.contains(&index) {
                failed.push(json!({"Id": id, "SenderFault": false, "Code": "InternalError"}));
            } else {
                successful.push(json!({"Id": id, "MessageId": "1", "MD5OfMessageBody": ""}));
            }
        }
        let response = json!({"Successful": successful, "Failed": failed}).to_string();
        std::future::ready(([(CONTENT_TYPE, "application/x-amz-json-1.0")], response))
    };
    let response = Arc::new(response);
    let router = Router::new().fallback(move |body: Bytes| response(body));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let environment = Environment::from_iter([
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL_SQS", endpoint.as_str()),
    ]);
    let aws = Aws::new(&environment, http_connector(&environment).unwrap()).unwrap();
    (
        Queue::new(aws.sqs(), format!("{endpoint}/1/picky")),
        received,
    )
}

#[tokio::test]
async fn a_refused_message_is_sent_again_and_reported_after_the_last_try() {
    let world = World::start().await;
    for n in 0..3 {
        created(&world, n, |operation| operation.callback = None).await;
    }
    let (queue, mut batches) = picky_queue(vec![vec![0, 2], vec![1]]).await;
    let picky = Requeue {
        dispatch: queue,
        ..requeue::tool(&world)
    };
    let requeued = picky.run(&mut |_| {}).await.unwrap();
    assert!(requeued.is_complete());
    assert_eq!(requeued.sent, 3);
    let batches = [(); 3].map(|()| batches.try_recv().unwrap());
    assert_eq!(batches[1], [batches[0][0].clone(), batches[0][2].clone()]);
    assert_eq!(batches[2], [batches[0][2].clone()]);

    let (queue, _batches) = picky_queue(vec![vec![1], vec![0], vec![0], vec![0], vec![0]]).await;
    let picky = Requeue {
        dispatch: queue,
        ..requeue::tool(&world)
    };
    let mut codes = Vec::new();
    let requeued = picky
        .run(&mut |progress| {
            if let Progress::Unsent(_, code) = progress {
                codes.push(code.to_owned());
            }
        })
        .await
        .unwrap();
    assert_eq!(codes, ["InternalError"]);
    assert!(!requeued.is_complete());
    assert_eq!((requeued.sent, requeued.unsent), (2, 1));
}
