use std::fmt::Write as _;
use std::fs::read_to_string;
use std::io::{Write as _, stderr, stdout};
use std::path::PathBuf;

use aws_config::Region;
use clap::Args;
use operator::check::arns::{Home, compare, target_arns};
use operator::check::lambda::check_targets;
use operator::check::{Check, Severity};
use operator::services::sdk_config;
use shared::config::Environment;
use shared::domain::limits::{
    WORKER_TIMEOUT_SECS_DEFAULT, WORKER_TIMEOUT_SECS_MAX, WORKER_TIMEOUT_SECS_MIN,
};
use shared::terminal::visible;

use crate::CommandResult;

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The functions file.
    file: PathBuf,

    /// The stack's parameter `WorkerTimeoutSeconds`, which bounds `timeout_seconds`.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = WORKER_TIMEOUT_SECS_DEFAULT,
        value_parser = clap::value_parser!(u32)
            .range(i64::from(WORKER_TIMEOUT_SECS_MIN)..=i64::from(WORKER_TIMEOUT_SECS_MAX))
    )]
    worker_timeout: u32,

    /// Ask AWS whether each target exists, can be invoked, and ends in time.
    #[arg(long)]
    aws: bool,

    /// Print the ARNs of all targets for the template's parameter `TargetFunctionArns`, and the
    /// errors to standard error.
    #[arg(long)]
    print_arns: bool,

    /// Compare the targets with a list of ARNs, such as the parameter `TargetFunctionArns` of the
    /// deployed stack.
    #[arg(long, value_name = "LIST", conflicts_with = "print_arns")]
    arns: Option<String>,

    /// The stack's region, which completes names to ARNs; for `--aws` the default is the
    /// configured one.
    #[arg(long, value_parser = region)]
    region: Option<String>,

    /// The stack's account, which completes names to ARNs.
    #[arg(long, requires = "region", value_parser = account)]
    account: Option<String>,
}

/// Returns whether the file is valid.
pub(crate) async fn check(arguments: &CheckArguments, environment: &Environment) -> CommandResult {
    let path = arguments.file.to_string_lossy();
    let path = visible(&path);
    let text = read_to_string(&arguments.file)
        .map_err(|error| format!("{path} cannot be read: {error}"))?;
    let mut check = Check::new(&text, arguments.worker_timeout);
    check.report_unknown_keywords();
    let home = arguments
        .region
        .as_deref()
        .zip(arguments.account.as_deref());
    let home = home.map(|(region, account)| Home { region, account });
    check.report_unqualified(if arguments.print_arns || arguments.arns.is_some() {
        Severity::Error
    } else {
        Severity::Warning
    });
    if let Some(list) = &arguments.arns {
        compare(&mut check, list, home)?;
    }
    if arguments.aws {
        let mut config = sdk_config(environment).await?;
        if let Some(region) = arguments.region.clone() {
            config = config.into_builder().region(Region::new(region)).build();
        }
        check_targets(&mut check, &aws_sdk_lambda::Client::new(&config)).await?;
    }
    let is_valid = check.count(Severity::Error) == 0;
    let report = report(&path, &check);
    if !arguments.print_arns {
        write!(stdout(), "{report}")?;
        return Ok(is_valid);
    }
    write!(stderr(), "{report}")?;
    if is_valid {
        writeln!(stdout(), "{}", target_arns(&check, home)?.join(","))?;
    }
    Ok(is_valid)
}

/// A line for each finding, in columns, and one that counts them.
fn report(path: &str, check: &Check<'_>) -> String {
    let rows = check.findings().into_iter().map(|finding| {
        let place = format!("{path}:{}", finding.position);
        let severity = match finding.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        // Both may have text of the file or of AWS.
        let pointer = visible(&finding.pointer).into_owned();
        let detail = format!("{severity}{}", visible(&finding.detail));
        (place, pointer, detail)
    });
    let rows: Vec<_> = rows.collect();
    let width = |of: fn(&(String, String, String)) -> &str| {
        rows.iter()
            .map(|row| of(row).chars().count())
            .max()
            .unwrap_or_default()
    };
    let (places, pointers) = (width(|row| &row.0), width(|row| &row.1));
    let mut report = String::new();
    for (place, pointer, detail) in &rows {
        // Writing to a `String` cannot fail.
        let _ = write!(report, "{place:places$}  ");
        if pointers > 0 {
            let _ = write!(report, "{pointer:pointers$}  ");
        }
        let _ = writeln!(report, "{detail}");
    }
    let (errors, warnings) = (check.count(Severity::Error), check.count(Severity::Warning));
    let mut counts = Vec::new();
    if errors > 0 {
        counts.push(counted(errors, "error"));
    } else {
        let are = if check.functions() == 1 { "is" } else { "are" };
        let functions = counted(check.functions(), "function");
        counts.push(format!("{path}: {functions} {are} valid"));
    }
    if warnings > 0 {
        counts.push(counted(warnings, "warning"));
    }
    let _ = writeln!(report, "{}", counts.join(", "));
    report
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn region(text: &str) -> Result<String, &'static str> {
    let is_in_region =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_region = text.contains('-') && text.bytes().all(is_in_region);
    is_region
        .then(|| text.to_owned())
        .ok_or("a region is such as eu-central-1")
}

fn account(text: &str) -> Result<String, &'static str> {
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_account
        .then(|| text.to_owned())
        .ok_or("an account is a number of 12 digits")
}
