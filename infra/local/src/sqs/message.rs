//! The content of a message: body and attributes, with their limits, sizes and MD5 digests.
//!
//! SDKs compare the digests with their own and refuse a message whose digest differs. Sources:
//!
//! - limits:
//!   <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
//! - attributes and digest:
//!   <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::error::SqsError;

const ATTRIBUTES_MAX: usize = 10;
/// Of an attribute's name, and of its type.
const NAME_CHARS_MAX: usize = 256;
const GROUP_CHARS_MAX: usize = 128;
/// The only system attribute that a sender may set.
pub(super) const TRACE_HEADER: &str = "AWSTraceHeader";

/// By name, which is the digest's order.
pub(super) type Attributes = BTreeMap<String, Attribute>;

/// It never changes once the message is sent.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Content {
    #[serde(rename = "MessageBody", default)]
    pub(super) body: String,
    #[serde(rename = "MessageAttributes", default)]
    pub(super) attributes: Attributes,
    #[serde(rename = "MessageSystemAttributes", default)]
    pub(super) system_attributes: Attributes,
    #[serde(rename = "MessageGroupId", default)]
    pub(super) group: Option<String>,
}

/// A typed attribute. [`Attribute::check`] ensures that it has exactly one value.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Attribute {
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<Binary>,
}

/// Bytes; Base64 on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Binary(Vec<u8>);

impl Content {
    /// Refuses an empty or too long message, characters that XML does not allow, and invalid
    /// attributes.
    pub(super) fn check(&self, maximum_bytes: u32) -> Result<(), SqsError> {
        if self.body.is_empty() {
            return Err(SqsError::MissingParameter("MessageBody"));
        }
        if !self.body.chars().all(is_allowed) {
            return Err(SqsError::InvalidMessageContents);
        }
        if let Some(group) = &self.group {
            check_group(group)?;
        }
        check_attributes(&self.attributes)?;
        check_system_attributes(&self.system_attributes)?;
        if self.bytes() > maximum_bytes as usize {
            return Err(SqsError::MessageTooLong(maximum_bytes));
        }
        Ok(())
    }

    /// The size for SQS's limits: the body, and each attribute's name, type and value. System
    /// attributes do not count.
    pub(super) fn bytes(&self) -> usize {
        let attributes: usize = self
            .attributes
            .iter()
            .map(|(name, attribute)| {
                name.len() + attribute.data_type.len() + attribute.value().map_or(0, <[u8]>::len)
            })
            .sum();
        self.body.len() + attributes
    }

    pub(super) fn body_md5(&self) -> String {
        hex(Md5::digest(&self.body).as_slice())
    }

    pub(super) fn trace_header(&self) -> Option<&str> {
        self.system_attributes
            .get(TRACE_HEADER)?
            .string_value
            .as_deref()
    }
}

impl Attribute {
    fn value(&self) -> Option<&[u8]> {
        match (&self.string_value, &self.binary_value) {
            (Some(text), None) => Some(text.as_bytes()),
            (None, Some(Binary(bytes))) => Some(bytes),
            _ => None,
        }
    }

    fn check(&self, name: &str) -> Result<(), SqsError> {
        let refused = |reason| SqsError::InvalidMessageAttribute {
            name: name.to_owned(),
            reason,
        };
        if self.data_type.len() > NAME_CHARS_MAX {
            return Err(refused("the type is too long"));
        }
        if self.value().is_none_or(<[u8]>::is_empty) {
            return Err(refused("it must contain one non-empty value"));
        }
        // The sender's label follows the first period.
        let logical = self.data_type.split('.').next().unwrap_or_default();
        let fits = match (logical, &self.string_value) {
            ("String", Some(text)) => text.chars().all(is_allowed),
            ("Number", Some(text)) => is_number(text),
            ("Binary", None) => true,
            _ => return Err(refused("the value does not match its type")),
        };
        if fits {
            Ok(())
        } else {
            Err(refused("the value is not valid for its type"))
        }
    }
}

impl TryFrom<String> for Binary {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        BASE64_STANDARD.decode(text).map(Self)
    }
}

impl From<Binary> for String {
    fn from(Binary(bytes): Binary) -> Self {
        BASE64_STANDARD.encode(bytes)
    }
}

/// The message's number as a UUID of version 8, whose bits the application defines
/// (<https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-8>).
pub(super) fn message_id(number: u64) -> String {
    format!(
        "{:08x}-{:04x}-8000-8000-{:012x}",
        number >> 32,
        (number >> 16) & 0xffff,
        number & 0xffff
    )
}

/// The digest of `attributes`; `None` when there are none. It covers, for each attribute in the
/// order of names: name, type, one byte for the encoding (1 text, 2 bytes) and value. A length of
/// four bytes precedes each of them except that byte.
pub(super) fn attributes_md5<'a>(
    attributes: impl IntoIterator<Item = (&'a String, &'a Attribute)>,
) -> Option<String> {
    let mut md5 = Md5::new();
    let mut any = false;
    for (name, attribute) in attributes {
        any = true;
        update_with_length(&mut md5, name.as_bytes());
        update_with_length(&mut md5, attribute.data_type.as_bytes());
        md5.update([if attribute.binary_value.is_some() {
            2
        } else {
            1
        }]);
        update_with_length(&mut md5, attribute.value().unwrap_or_default());
    }
    any.then(|| hex(md5.finalize().as_slice()))
}

/// Whether `wanted` selects the attribute `name`: by its name, by `All`, or by `PREFIX.*`.
pub(super) fn is_wanted(name: &str, wanted: &[String]) -> bool {
    wanted.iter().any(|wanted| {
        wanted == "All"
            || wanted == name
            || wanted
                .strip_suffix(".*")
                .is_some_and(|prefix| name.starts_with(prefix))
    })
}

fn check_group(group: &str) -> Result<(), SqsError> {
    let fits = (1..=GROUP_CHARS_MAX).contains(&group.len())
        && group.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        return Ok(());
    }
    Err(SqsError::InvalidParameterValue {
        parameter: "MessageGroupId",
        value: group.to_owned(),
        reason: "MessageGroupId can only include alphanumeric and punctuation characters. 1 to \
                 128 in length"
            .to_owned(),
    })
}

fn check_attributes(attributes: &Attributes) -> Result<(), SqsError> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(SqsError::InvalidParameterValue {
            parameter: "MessageAttributes",
            value: attributes.len().to_string(),
            reason: format!("A message has at most {ATTRIBUTES_MAX} attributes"),
        });
    }
    attributes.iter().try_for_each(|(name, attribute)| {
        if is_attribute_name(name) {
            attribute.check(name)
        } else {
            Err(SqsError::InvalidMessageAttribute {
                name: name.clone(),
                reason: "the name is not allowed",
            })
        }
    })
}

fn check_system_attributes(attributes: &Attributes) -> Result<(), SqsError> {
    attributes.iter().try_for_each(|(name, attribute)| {
        if name == TRACE_HEADER && attribute.data_type == "String" {
            attribute.check(name)
        } else {
            Err(SqsError::InvalidMessageAttribute {
                name: name.clone(),
                reason: "the only system attribute is AWSTraceHeader, of type String",
            })
        }
    })
}

fn is_attribute_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !lower.starts_with("aws.")
        && !lower.starts_with("amazon.")
}

/// The XML 1.0 characters: <https://www.w3.org/TR/REC-xml/#charsets>.
fn is_allowed(character: char) -> bool {
    matches!(
        character,
        '\u{9}' | '\u{A}' | '\u{D}' | '\u{20}'..='\u{D7FF}'
            | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}'
    )
}

/// Rust's parser also accepts `inf` and `nan`.
fn is_number(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
        && text.parse::<f64>().is_ok()
}

fn update_with_length(md5: &mut Md5, bytes: &[u8]) {
    // A message is at most 1 MiB, so a length always fits.
    md5.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    md5.update(bytes);
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
