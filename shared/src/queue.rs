//! The two SQS queues and their messages.

mod batcher;
mod group;
mod message;
mod sqs;

pub use self::group::{MessageGroup, host};
pub use self::message::{Dispatch, Message, MessageError, WakeUp};
pub use self::sqs::{BATCH_MAX, Delayed, Queue, QueueError, Unsent};
