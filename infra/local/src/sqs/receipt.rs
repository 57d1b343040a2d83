//! Receipt handles: each names one receive of one message.
//!
//! A handle is valid until its message is received again. If an older handle could still delete or
//! hide the message, a late consumer would take it away from the current one.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::error::SqsError;

/// One receive of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    /// The message's number, which stays the same when the message moves to another queue.
    pub(super) number: u64,
    /// The message's receive count at that receive, across queues.
    pub(super) receive: u32,
}

impl Receipt {
    /// The opaque handle for a consumer of `queue`.
    pub(super) fn handle(self, queue: &str) -> String {
        BASE64_STANDARD.encode(format!("{queue}/{}/{}", self.number, self.receive))
    }

    /// Reads a handle that a receive from `queue` returned.
    pub(super) fn parse(handle: &str, queue: &str) -> Result<Self, SqsError> {
        Self::read(handle, queue).ok_or(SqsError::ReceiptHandleIsInvalid)
    }

    fn read(handle: &str, queue: &str) -> Option<Self> {
        let text = String::from_utf8(BASE64_STANDARD.decode(handle).ok()?).ok()?;
        let (name, rest) = text.split_once('/')?;
        let (number, receive) = rest.split_once('/')?;
        (name == queue).then_some(Self {
            number: number.parse().ok()?,
            receive: receive.parse().ok()?,
        })
    }
}
