//! What does the work of a registered function.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

use crate::domain::json::{Json, members};

/// A Lambda function in any language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub function: LambdaFunction,
    /// Types of errors, as the target names them, after which another attempt would fail as well.
    pub permanent_errors: Vec<String>,
    /// Whether an attempt names the operation's owner to the target.
    pub send_owner: bool,
    /// Whether an attempt has the operation's metadata.
    pub send_metadata: bool,
    /// How the local bundle runs it.
    pub local: Option<LocalTarget>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalTarget {
    /// A process that serves Lambda's Runtime API.
    Command {
        /// A program and its arguments.
        command: Vec<String>,
        /// Relative to the directory of the functions file.
        directory: Option<String>,
        environment: BTreeMap<String, String>,
    },
    /// Another implementation of Lambda's Invoke API.
    Endpoint(String),
}

/// The only member of an object, if its name begins with `$`: what a target returns in this form is
/// no result.
#[must_use]
pub fn reserved_member(result: &Json) -> Option<(String, &RawValue)> {
    if !result.is_object() {
        return None;
    }
    let mut all = members(result.raw())?;
    let (name, value) = all.pop()?;
    (all.is_empty() && name.starts_with('$')).then_some((name, value))
}

/// The name or ARN of a Lambda function, with or without an alias or version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LambdaFunction(String);

/// The text is neither the name nor the ARN of a Lambda function. Completes a sentence that begins
/// with the text's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be the name of a Lambda function, such as resize:live, or its ARN, each with or without \
     an alias or version"
)]
pub struct NotLambdaFunction;

impl LambdaFunction {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name alone, without account, region, alias and version.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = if self.is_arn() { 6 } else { 0 };
        self.0.split(':').nth(name).unwrap_or(&self.0)
    }

    /// The alias or version.
    #[must_use]
    pub fn qualifier(&self) -> Option<&str> {
        let qualifier = if self.is_arn() { 7 } else { 1 };
        self.0.split(':').nth(qualifier)
    }

    /// Whether it has an alias or version. `$LATEST` is none: it is whatever was deployed last.
    #[must_use]
    pub fn is_qualified(&self) -> bool {
        self.qualifier()
            .is_some_and(|qualifier| qualifier != "$LATEST")
    }

    #[must_use]
    pub fn is_arn(&self) -> bool {
        self.0.starts_with("arn:")
    }
}

impl fmt::Display for LambdaFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// By the patterns of `FunctionName` in the AWS Lambda API Reference, "Invoke".
impl FromStr for LambdaFunction {
    type Err = NotLambdaFunction;

    fn from_str(text: &str) -> Result<Self, NotLambdaFunction> {
        let parts: Vec<_> = text.split(':').collect();
        let is_function = match parts[..] {
            [name] => is_name(name),
            [name, qualifier] => is_name(name) && is_qualifier(qualifier),
            [
                "arn",
                partition,
                "lambda",
                region,
                account,
                "function",
                ref function @ ..,
            ] => {
                let is_identified = partition.starts_with("aws")
                    && is_word(partition)
                    && is_word(region)
                    && account.len() == 12
                    && account.bytes().all(|byte| byte.is_ascii_digit());
                is_identified
                    && match function[..] {
                        [name] => is_name(name),
                        [name, qualifier] => is_name(name) && is_qualifier(qualifier),
                        _ => false,
                    }
            }
            _ => false,
        };
        is_function
            .then(|| Self(text.to_owned()))
            .ok_or(NotLambdaFunction)
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= 64 && is_word(text)
}

fn is_qualifier(text: &str) -> bool {
    text == "$LATEST" || (text.len() <= 128 && is_word(text))
}

fn is_word(text: &str) -> bool {
    let is_in_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.bytes().all(is_in_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lambda_function_is_a_name_or_an_arn_with_or_without_a_qualifier() {
        const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:resize";
        for (text, qualifier) in [
            ("resize", None),
            ("image-resize_2:live", Some("live")),
            ("resize:$LATEST", Some("$LATEST")),
            ("resize:7", Some("7")),
            (ARN, None),
            (&format!("{ARN}:live"), Some("live")),
            (
                "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:resize:1",
                Some("1"),
            ),
        ] {
            let function: LambdaFunction = text.parse().unwrap();
            assert_eq!(function.qualifier(), qualifier, "{text}");
        }
        for text in [
            "",
            ":live",
            "resize:",
            "resize:live:2",
            "re size",
            "resize/../other",
            "resize:*",
            "*",
            &"x".repeat(65),
            "arn:aws:lambda:eu-central-1:123456789012:function",
            "arn:aws:lambda:eu-central-1:123:function:resize",
            "arn:aws:sqs:eu-central-1:123456789012:function:resize",
            "arn:aws:lambda:eu-central-1:123456789012:function:resize:live:2",
            "123456789012:function:resize",
        ] {
            assert_eq!(
                text.parse::<LambdaFunction>(),
                Err(NotLambdaFunction),
                "{text}"
            );
        }
    }
}
