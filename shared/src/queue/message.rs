//! The messages of the two queues.
//!
//! A message says which operation and incarnation to inspect; the record says what to do. So a
//! message may arrive twice, late, out of order or after its operation has ended, with the same
//! outcome. A dispatch message repeats the function, for the reason at [`Dispatch::function`].

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::group::MessageGroup;
use crate::domain::id::{CreateId, OperationId};
use crate::domain::json::encode;
use crate::domain::limits::FORMAT;
use crate::domain::operation::Operation;

/// A message of one of the two queues.
pub trait Message {
    fn to_body(&self) -> String;

    /// None only for a message that is sent on as it was received, from a release without groups.
    fn group(&self) -> Option<&MessageGroup>;
}

/// Why a received body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error("the message is malformed")]
    Malformed,
    /// From a newer release. Upgrades and rollbacks overlap, so a function of that release will
    /// receive it.
    #[error("the message has the newer format {0}")]
    NewerFormat(u32),
}

/// The dispatch queue's message: an operation may be claimable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispatch {
    pub operation_id: OperationId,
    /// The incarnation of the operation.
    pub create_id: CreateId,
    /// The record has it too. It is repeated so that a worker without this function does not use up
    /// an attempt to find out.
    pub function: String,
    /// Resolved, never a range.
    pub function_version: String,
    /// Whether the receiver reads the record before it claims. Set on the messages of waits and
    /// legs: such a message may find that the operation still waits or has ended, and a read costs
    /// a fifth of a refused claim.
    pub read_first: bool,
    /// The owner's. An attribute of the message, not part of the body.
    pub group: Option<MessageGroup>,
}

/// The callback queue's message: a callback may be due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakeUp {
    pub operation_id: OperationId,
    /// The incarnation of the operation.
    pub create_id: CreateId,
    /// Requests a redelivery, which starts only while exactly this many attempts are on record, the
    /// number when it was requested. A round of attempts records at least one, so the message
    /// starts at most one round however often it is received, and several requests at the same
    /// count start one between them.
    pub redeliver_after_attempts: Option<u32>,
    /// How often this attempt was deferred because its receiver was busy.
    pub deferrals: u32,
    /// The owner's for the receiver. An attribute of the message, not part of the body.
    pub group: Option<MessageGroup>,
}

#[derive(Serialize, Deserialize)]
struct DispatchBody {
    format: u32,
    operation_id: String,
    create_id: String,
    function: String,
    function_version: String,
    /// An older release ignores it and claims at once.
    #[serde(default, skip_serializing_if = "is_false")]
    read_first: bool,
}

#[derive(Serialize, Deserialize)]
struct WakeUpBody {
    format: u32,
    operation_id: String,
    create_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    redeliver_after_attempts: Option<u32>,
    /// An older release ignores it and makes the attempt at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    deferrals: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_false(switch: &bool) -> bool {
    !*switch
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, MessageError> {
    // The format first: a newer body may lack the members that this release reads.
    let FormatOnly { format } = serde_json::from_str(body).map_err(|_| MessageError::Malformed)?;
    if format > FORMAT {
        return Err(MessageError::NewerFormat(format));
    }
    serde_json::from_str(body).map_err(|_| MessageError::Malformed)
}

fn parsed<T: FromStr>(id: &str) -> Result<T, MessageError> {
    id.parse().map_err(|_| MessageError::Malformed)
}

impl Dispatch {
    /// The message for an operation that may be claimable.
    #[must_use]
    pub fn of(operation: &Operation) -> Self {
        Self {
            operation_id: operation.id.clone(),
            create_id: operation.create_id.clone(),
            function: operation.function.clone(),
            function_version: operation.function_version.clone(),
            read_first: false,
            group: Some(MessageGroup::of_owner(&operation.owner)),
        }
    }

    /// Reads a received body. `group` is the received message's attribute.
    ///
    /// # Errors
    ///
    /// When the body is malformed or of a newer format.
    pub fn parse(body: &str, group: Option<MessageGroup>) -> Result<Self, MessageError> {
        let body: DispatchBody = read(body)?;
        Ok(Self {
            operation_id: parsed(&body.operation_id)?,
            create_id: parsed(&body.create_id)?,
            function: body.function,
            function_version: body.function_version,
            read_first: body.read_first,
            group,
        })
    }
}

impl Message for Dispatch {
    fn to_body(&self) -> String {
        encode(&DispatchBody {
            format: FORMAT,
            operation_id: self.operation_id.as_str().to_owned(),
            create_id: self.create_id.as_str().to_owned(),
            function: self.function.clone(),
            function_version: self.function_version.clone(),
            read_first: self.read_first,
        })
    }

    fn group(&self) -> Option<&MessageGroup> {
        self.group.as_ref()
    }
}

impl WakeUp {
    /// The message for an operation whose callback is due.
    #[must_use]
    pub fn of(operation: &Operation) -> Self {
        Self {
            operation_id: operation.id.clone(),
            create_id: operation.create_id.clone(),
            redeliver_after_attempts: None,
            deferrals: 0,
            group: operation
                .callback
                .as_ref()
                .map(|callback| MessageGroup::of_callback(&operation.owner, &callback.url)),
        }
    }

    /// Reads a received body. `group` is the received message's attribute.
    ///
    /// # Errors
    ///
    /// When the body is malformed or of a newer format.
    pub fn parse(body: &str, group: Option<MessageGroup>) -> Result<Self, MessageError> {
        let body: WakeUpBody = read(body)?;
        Ok(Self {
            operation_id: parsed(&body.operation_id)?,
            create_id: parsed(&body.create_id)?,
            redeliver_after_attempts: body.redeliver_after_attempts,
            deferrals: body.deferrals,
            group,
        })
    }
}

impl Message for WakeUp {
    fn to_body(&self) -> String {
        encode(&WakeUpBody {
            format: FORMAT,
            operation_id: self.operation_id.as_str().to_owned(),
            create_id: self.create_id.as_str().to_owned(),
            redeliver_after_attempts: self.redeliver_after_attempts,
            deferrals: self.deferrals,
        })
    }

    fn group(&self) -> Option<&MessageGroup> {
        self.group.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (OperationId, CreateId) {
        (
            OperationId::from_bytes([7; 12]),
            CreateId::from_bytes([9; 16]),
        )
    }

    #[test]
    fn a_body_that_was_written_reads_back_the_same() {
        let (operation_id, create_id) = ids();
        let dispatch = Dispatch {
            operation_id: operation_id.clone(),
            create_id: create_id.clone(),
            function: "csv.summarize".into(),
            function_version: "1.0.0".into(),
            read_first: true,
            group: Some(MessageGroup::from_received("g".into())),
        };
        let group = dispatch.group.clone();
        assert_eq!(Dispatch::parse(&dispatch.to_body(), group), Ok(dispatch));
        let wake_up = WakeUp {
            operation_id,
            create_id,
            redeliver_after_attempts: Some(7),
            deferrals: 3,
            group: None,
        };
        assert_eq!(WakeUp::parse(&wake_up.to_body(), None), Ok(wake_up));
    }

    #[test]
    fn a_dispatch_message_has_this_wire_form() {
        let (operation_id, create_id) = ids();
        let mut dispatch = Dispatch {
            operation_id,
            create_id,
            function: "f".into(),
            function_version: "1.0.0".into(),
            read_first: false,
            group: None,
        };
        let body = r#"{"format":1,"operation_id":"op_070707070707070707070707","create_id":"CQkJCQkJCQkJCQkJCQkJCQ","function":"f","function_version":"1.0.0"}"#;
        assert_eq!(dispatch.to_body(), body);
        dispatch.read_first = true;
        let body = body.replace('}', r#","read_first":true}"#);
        assert_eq!(dispatch.to_body(), body);
    }

    #[test]
    fn a_wake_up_has_this_wire_form() {
        let (operation_id, create_id) = ids();
        let wake_up = WakeUp {
            operation_id,
            create_id,
            redeliver_after_attempts: None,
            deferrals: 0,
            group: None,
        };
        assert_eq!(
            wake_up.to_body(),
            r#"{"format":1,"operation_id":"op_070707070707070707070707","create_id":"CQkJCQkJCQkJCQkJCQkJCQ"}"#
        );
    }

    #[test]
    fn a_newer_format_is_not_a_malformed_body() {
        assert_eq!(
            Dispatch::parse(r#"{"format":2,"what":"ever"}"#, None),
            Err(MessageError::NewerFormat(2))
        );
        for body in ["", "{", "[]", "{}", r#"{"format":1}"#, r#"{"format":"1"}"#] {
            assert_eq!(
                Dispatch::parse(body, None),
                Err(MessageError::Malformed),
                "{body}"
            );
        }
        let bad_id = r#"{"format":1,"operation_id":"op_1","create_id":"CQkJCQkJCQkJCQkJCQkJCQ"}"#;
        assert_eq!(WakeUp::parse(bad_id, None), Err(MessageError::Malformed));
        let (operation_id, create_id) = ids();
        let bad_count = format!(
            r#"{{"format":1,"operation_id":"{operation_id}","create_id":"{}","redeliver_after_attempts":-1}}"#,
            create_id.as_str()
        );
        assert_eq!(
            WakeUp::parse(&bad_count, None),
            Err(MessageError::Malformed)
        );
    }
}
