//! Receipt handles: which receive of which message a consumer acts upon.
//!
//! A handle is good until its message is received again. If an older one still deleted or hid the message, a consumer that
//! came too late would take it away from the one that holds it now.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::error::SqsError;

/// One receive of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    /// The message's number, which it keeps when it moves to another queue.
    pub(super) number: u64,
    /// Which of the message's receives this was, counted across queues.
    pub(super) receive: u32,
}

impl Receipt {
    /// The opaque text for a consumer of `queue`.
    pub(super) fn handle(self, queue: &str) -> String {
        BASE64_STANDARD.encode(format!("{queue}/{}/{}", self.number, self.receive))
    }

    /// Reads a handle that a receive from `queue` gave out.
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
