//! Every sample event, with `cargo lambda invoke`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use local::bundle::Services;
use local::client::sdk_config;
use serde_json::{Value, json};
use shared::clock::{Clock as _, SystemClock};
use shared::config::Environment;
use shared::store::{Draft, Store};
use tests::events::{self, HTTP, QUEUED, QueueSample, Stage};
use tests::queues::{QueueKind, TestQueue};
use tests::receiver::Receiver;
use tests::world::Response;

use crate::watch::Watch;

/// The functions in the emulator, with a store and queues that have no other consumer.
struct Emulated {
    watch: Watch,
    receiver: Receiver,
    environment: Environment,
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    _services: Services,
}

impl Emulated {
    async fn start() -> Self {
        let services = Services::start(Arc::new(SystemClock)).await.unwrap();
        let mut variables = services.environment.clone();
        variables.push(("CALLBACK_ALLOWED_NETWORKS".into(), "127.0.0.0/8".into()));
        let environment = Environment::from_iter(services.environment.clone());
        let endpoint = |name| sdk_config(environment.required(name).unwrap());
        Self {
            watch: Watch::start(Watch::free_port(), &variables).await,
            receiver: Receiver::start().await,
            dynamodb: aws_sdk_dynamodb::Client::new(&endpoint("AWS_ENDPOINT_URL_DYNAMODB")),
            sqs: aws_sdk_sqs::Client::new(&endpoint("AWS_ENDPOINT_URL_SQS")),
            environment,
            _services: services,
        }
    }

    fn setting(&self, name: &'static str) -> &str {
        self.environment.required(name).unwrap()
    }

    fn queue(&self, kind: QueueKind) -> TestQueue {
        TestQueue::new(self.sqs.clone(), self.setting(kind.setting()).to_owned())
    }

    /// Brings the samples' operation to a stage, and deletes everything else.
    async fn bring_to(&self, stage: Stage) {
        self.clear().await;
        if stage == Stage::Absent {
            return;
        }
        let now = SystemClock.now();
        let store = Store::new(self.dynamodb.clone(), self.setting("TABLE_NAME").to_owned());
        let operation = events::operation(stage, now, &self.receiver.url);
        store.create(&Draft::new(&operation), now).await.unwrap();
        if stage != Stage::Pending {
            let response = self.serve(&events::dispatch()).await;
            assert_eq!(response, json!({"batchItemFailures": []}));
        }
        if stage == Stage::Delivered {
            let response = self.serve(&events::wake_up()).await;
            assert_eq!(response, json!({"batchItemFailures": []}));
        }
    }

    async fn clear(&self) {
        let table = self.setting("TABLE_NAME");
        let scanned = self.dynamodb.scan().table_name(table).send().await.unwrap();
        for mut item in scanned.items.unwrap_or_default() {
            item.retain(|name, _| matches!(name.as_str(), "pk" | "sk"));
            self.dynamodb
                .delete_item()
                .table_name(table)
                .set_key(Some(item))
                .send()
                .await
                .unwrap();
        }
        for kind in QueueKind::ALL {
            let url = self.setting(kind.setting());
            self.sqs.purge_queue().queue_url(url).send().await.unwrap();
        }
    }

    async fn serve(&self, sample: &QueueSample) -> Value {
        let event = sample
            .event(&self.queue(sample.queue), SystemClock.now())
            .await;
        let file = Self::file();
        std::fs::write(&file, event.to_string()).unwrap();
        self.watch.invoke(function(sample.name), &file).await
    }

    fn file() -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("event.json")
    }
}

/// The function of an event.
fn function(sample: &str) -> &str {
    sample.split('/').next().unwrap()
}

#[tokio::test]
async fn every_sample_has_its_response() {
    let emulated = Emulated::start().await;
    for sample in HTTP {
        emulated.bring_to(sample.stage).await;
        let response = emulated
            .watch
            .invoke(function(sample.name), &events::file(sample.name))
            .await;
        sample.check(&Response::of(&response));
    }
    for sample in QUEUED {
        emulated.bring_to(sample.stage).await;
        let posts = emulated.receiver.received().len();
        let response = emulated.serve(sample).await;
        sample.check(&response, emulated.receiver.received().len() - posts);
    }
    emulated.watch.stop().await;
}
