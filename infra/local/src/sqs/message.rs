//! What a sender puts into a message: body and attributes, their limits, their size and their MD5 digests.
//!
//! Senders and receivers compare the digests with their own, so a wrong byte here is a message that an SDK refuses. Sources:
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html> for the limits, and
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html> for attributes and the digest.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::error::SqsError;

/// A message has at most ten attributes.
const MAXIMUM_ATTRIBUTES: usize = 10;
/// An attribute's name and its type each have at most 256 characters.
const MAXIMUM_NAME_CHARS: usize = 256;
/// A message's group has 1 to 128 characters.
const MAXIMUM_GROUP_CHARS: usize = 128;
/// The one system attribute that a sender may set.
pub(super) const TRACE_HEADER: &str = "AWSTraceHeader";

/// Attributes by name, in the order in which the digest takes them.
pub(super) type Attributes = BTreeMap<String, Attribute>;

/// What was sent. It stays the same for as long as the message lives.
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

/// A typed attribute; exactly one of the values is there once it has been checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Attribute {
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<Binary>,
}

/// Bytes, which travel as Base64.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Binary(Vec<u8>);

impl Content {
    /// Refuses an empty or overlong message, characters that XML cannot carry, and attributes that break their rules.
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

    /// What counts towards the limits: the body, and each attribute's name, type and value. System attributes do not count.
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

    /// The X-Ray trace header, when the sender set one.
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
        if self.data_type.len() > MAXIMUM_NAME_CHARS {
            return Err(refused("the type is too long"));
        }
        if self.value().is_none_or(<[u8]>::is_empty) {
            return Err(refused("it must contain one non-empty value"));
        }
        // What follows the first period is the sender's own label.
        let logical = self.data_type.split('.').next().unwrap_or_default();
        let fits = match (logical, &self.string_value) {
            ("String", Some(text)) => text.chars().all(is_allowed),
            ("Number", Some(text)) => is_number(text),
            ("Binary", None) => true,
            _ => return Err(refused("the value does not have the type that it names")),
        };
        if fits {
            Ok(())
        } else {
            Err(refused("the value cannot be read as its type"))
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

/// The message's number in the form of a UUID, of the version that leaves its bits to the application:
/// <https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-8>.
pub(super) fn message_id(number: u64) -> String {
    format!(
        "{:08x}-{:04x}-8000-8000-{:012x}",
        number >> 32,
        (number >> 16) & 0xffff,
        number & 0xffff
    )
}

/// The digest over `attributes`, absent when there are none: for each, sorted by name, the name, the type, one byte for the way
/// the value travels (1 as text, 2 as bytes) and the value, each but that byte preceded by its length in four bytes.
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

/// Whether a receiver that asked for `wanted` gets the attribute `name`: by its name, by `All`, or by `PREFIX.*`.
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
    let fits = (1..=MAXIMUM_GROUP_CHARS).contains(&group.len())
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
    if attributes.len() > MAXIMUM_ATTRIBUTES {
        return Err(SqsError::InvalidParameterValue {
            parameter: "MessageAttributes",
            value: attributes.len().to_string(),
            reason: format!("A message has at most {MAXIMUM_ATTRIBUTES} attributes"),
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
    (1..=MAXIMUM_NAME_CHARS).contains(&name.len())
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
    matches!(character,
        '\u{9}' | '\u{A}' | '\u{D}' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

/// Rust's own parser would also take `inf` and `nan`.
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
