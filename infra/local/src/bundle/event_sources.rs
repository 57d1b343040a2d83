//! The event source mappings: from each queue and dead-letter queue to the function that reads it.

use std::sync::Arc;

use crate::bundle::Settings;
use crate::bundle::queues::{QueuePair, Queues};
use crate::event_source::{EventSource, EventSourceSettings};
use crate::function::Function;

/// The most callback messages in one event. They are independent of each other, and each is short.
const CALLBACK_BATCH_SIZE: i32 = 10;

/// Dead letters are few and not urgent.
const DEAD_LETTER_CONCURRENCY: usize = 1;

/// The most invocations at once that the event sources of one function make. A function with fewer
/// processes would throttle its event source, and throttled receives count towards
/// `maxReceiveCount`.
pub(super) const fn invocations_max(instances: usize) -> usize {
    instances + DEAD_LETTER_CONCURRENCY
}

pub(super) fn start(
    settings: &Settings,
    queues: &Queues,
    worker: &Arc<Function>,
    callback: &Arc<Function>,
) -> Vec<EventSource> {
    let start = |pair: &QueuePair, function: &Arc<Function>, batch_size| {
        let sources = [
            (&pair.queue, settings.instances),
            (&pair.dead_letters, DEAD_LETTER_CONCURRENCY),
        ];
        sources.map(|(queue, concurrency_max)| {
            let settings = EventSourceSettings {
                queue_url: queue.url.clone(),
                queue_arn: queue.arn.clone(),
                batch_size,
                concurrency_max,
            };
            EventSource::start(queues.client.clone(), Arc::clone(function), settings)
        })
    };
    let worker = start(&queues.dispatch, worker, settings.worker_batch_size);
    let callback = start(&queues.callback, callback, CALLBACK_BATCH_SIZE);
    worker.into_iter().chain(callback).collect()
}
