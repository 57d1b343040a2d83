//! The two SQS queues and their messages.

mod batcher;
mod group;
mod message;
mod sqs;

pub use self::batcher::BATCH_MAX;
pub use self::group::{MessageGroup, host};
pub use self::message::{Dispatch, Message, MessageError, WakeUp};
pub use self::sqs::{Delayed, Queue, QueueError, Unsent};
