//! Reads the member `target` of a function.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::value::RawValue;
use url::Url;

use super::{merge, unique_members};
use crate::catalogue::{LambdaFunction, LocalTarget};
use crate::domain::json::members;
use crate::request::{Fields, Invalid};

pub(super) const PERMANENT_ERRORS_MAX: usize = 100;
pub(super) const COMMAND_WORDS_MAX: usize = 100;

type ReadTarget = (LambdaFunction, Vec<String>, Option<LocalTarget>);

/// Reads the member `target`: what to invoke, which errors are permanent, and how it runs locally.
pub(super) fn read_target(
    base: &str,
    outer: &mut Fields,
    raw: &RawValue,
) -> Result<ReadTarget, Invalid> {
    let mut members = unique_members(base, members(raw), outer).ok_or(Invalid)?;
    let mut fields = Fields::at(base);
    members.take_any("$comment");
    let lambda = fields
        .required(&mut members, "lambda")
        .and_then(|raw| read_lambda(&format!("{base}/lambda"), &mut fields, raw));
    let local = members.take("local").map_or(Ok(None), |raw| {
        read_local(&format!("{base}/local"), &mut fields, raw).map(Some)
    });
    members.reject_unknown(&mut fields);
    let read = lambda.and_then(|(function, permanent)| Ok((function, permanent, local?)));
    merge(outer, fields, read)
}

fn read_lambda(
    base: &str,
    outer: &mut Fields,
    raw: &RawValue,
) -> Result<(LambdaFunction, Vec<String>), Invalid> {
    let mut members = unique_members(base, members(raw), outer).ok_or(Invalid)?;
    let mut fields = Fields::at(base);
    members.take_any("$comment");
    let function = fields.required(&mut members, "function").and_then(|raw| {
        let text = fields.text("function", raw)?;
        let function = text.parse::<LambdaFunction>();
        function.map_err(|error| fields.reject("function", error.to_string()))
    });
    let permanent_errors = match members.take("permanent_errors") {
        Some(raw) => texts(
            &mut fields,
            "permanent_errors",
            raw,
            0..=PERMANENT_ERRORS_MAX,
        ),
        None => Ok(Vec::new()),
    };
    members.reject_unknown(&mut fields);
    let read = function.and_then(|function| Ok((function, permanent_errors?)));
    merge(outer, fields, read)
}

fn read_local(base: &str, outer: &mut Fields, raw: &RawValue) -> Result<LocalTarget, Invalid> {
    let mut members = unique_members(base, members(raw), outer).ok_or(Invalid)?;
    let mut fields = Fields::at(base);
    members.take_any("$comment");
    let read = match (members.take("command"), members.take("endpoint")) {
        (Some(command), None) => {
            let command = texts(&mut fields, "command", command, 1..=COMMAND_WORDS_MAX);
            let directory = members
                .take("directory")
                .map(|raw| fields.text("directory", raw))
                .transpose();
            let environment = members.take("environment").map_or_else(
                || Ok(BTreeMap::new()),
                |raw| read_environment(&mut fields, raw),
            );
            command.and_then(|command| {
                Ok(LocalTarget::Command {
                    command,
                    directory: directory?,
                    environment: environment?,
                })
            })
        }
        (None, Some(endpoint)) => read_endpoint(&mut fields, endpoint),
        (None, None) => Err(fields.reject_at(base, "must have command or endpoint")),
        (Some(_), Some(_)) => {
            Err(fields.reject_at(base, "must have only one of command and endpoint"))
        }
    };
    members.reject_unknown(&mut fields);
    merge(outer, fields, read)
}

fn read_environment(
    fields: &mut Fields,
    raw: &RawValue,
) -> Result<BTreeMap<String, String>, Invalid> {
    let read = serde_json::from_str(raw.get());
    read.map_err(|_| fields.reject("environment", "must be an object of strings"))
}

fn read_endpoint(fields: &mut Fields, raw: &RawValue) -> Result<LocalTarget, Invalid> {
    let text = fields.text("endpoint", raw)?;
    if Url::parse(&text).is_ok_and(|url| url.scheme() == "http" && url.path() == "/") {
        return Ok(LocalTarget::Endpoint(text));
    }
    let detail = "must be a URL such as http://127.0.0.1:3001";
    Err(fields.reject("endpoint", detail))
}

/// An array of strings that are not empty.
fn texts(
    fields: &mut Fields,
    member: &str,
    raw: &RawValue,
    counts: RangeInclusive<usize>,
) -> Result<Vec<String>, Invalid> {
    let read: Option<Vec<String>> = serde_json::from_str(raw.get()).ok();
    let is_within = |texts: &Vec<String>| {
        counts.contains(&texts.len()) && texts.iter().all(|text| !text.is_empty())
    };
    read.filter(is_within).ok_or_else(|| {
        let (least, most) = (counts.start(), counts.end());
        let detail = format!("must be an array of {least} to {most} strings that are not empty");
        fields.reject(member, detail)
    })
}
