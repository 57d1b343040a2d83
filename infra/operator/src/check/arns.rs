//! The ARNs that the template's parameter `TargetFunctionArns` takes: those of all targets.

use std::collections::{BTreeMap, BTreeSet};

use shared::catalogue::LambdaFunction;

use super::{Check, Severity, function_pointer};

/// Where the functions are that a file names without a whole ARN: those of the stack.
#[derive(Debug, Clone, Copy)]
pub struct Home<'a> {
    pub region: &'a str,
    pub account: &'a str,
}

/// A name has no ARN without a region and an account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{function} is not an ARN: --region and --account complete it")]
pub struct NoHome {
    function: LambdaFunction,
}

/// Each ARN once, in alphabetical order, except those without an alias or version, which the
/// parameter refuses ([`Check::report_unqualified`]).
///
/// # Errors
///
/// When the file has a name, and no region and account are given.
pub fn target_arns(check: &Check<'_>, home: Option<Home<'_>>) -> Result<Vec<String>, NoHome> {
    let arns = by_function(check, home)?;
    let arns: BTreeSet<_> = arns.into_values().collect();
    Ok(arns.into_iter().collect())
}

/// Compares a list of ARNs, such as that of a deployed stack, with the file: what it lacks is an
/// error, since the worker may not invoke it. What it has in excess is a warning: it may be the
/// target of a function that was removed, and whose operations have not ended.
///
/// # Errors
///
/// As [`target_arns`].
pub fn compare(check: &mut Check<'_>, list: &str, home: Option<Home<'_>>) -> Result<(), NoHome> {
    let listed: BTreeSet<_> = list.split(',').map(str::trim).collect();
    let needed = by_function(check, home)?;
    for (index, arn) in &needed {
        if !listed.contains(arn.as_str()) {
            let detail = format!("is not in --arns, so the worker may not invoke it: {arn}");
            check.report(Severity::Error, function_pointer(*index), detail);
        }
    }
    let needed: BTreeSet<_> = needed.values().map(String::as_str).collect();
    for arn in listed.difference(&needed).filter(|arn| !arn.is_empty()) {
        let detail = format!("lacks a target that --arns has: {arn}");
        check.report(Severity::Warning, "/functions", detail);
    }
    Ok(())
}

/// By the function's index in the file.
fn by_function(
    check: &Check<'_>,
    home: Option<Home<'_>>,
) -> Result<BTreeMap<usize, String>, NoHome> {
    let mut arns = BTreeMap::new();
    for (index, entry) in &check.functions {
        let Some(target) = entry.target() else {
            continue;
        };
        if target.function.is_qualified() {
            arns.insert(*index, arn(&target.function, home)?);
        }
    }
    Ok(arns)
}

fn arn(function: &LambdaFunction, home: Option<Home<'_>>) -> Result<String, NoHome> {
    if function.is_arn() {
        return Ok(function.to_string());
    }
    let Home { region, account } = home.ok_or_else(|| NoHome {
        function: function.clone(),
    })?;
    // AWS General Reference, "Amazon Resource Names".
    let partition = match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    Ok(format!(
        "arn:{partition}:lambda:{region}:{account}:function:{function}"
    ))
}
