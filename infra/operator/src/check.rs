//! Checks a functions file before it is deployed: reports every error at once, with line and
//! column, where a function that starts with the file names only the first.

pub mod arns;
mod keywords;
pub mod lambda;

use shared::catalogue::Entry;
use shared::catalogue::file::read_all;
use shared::catalogue::file::source::{Position, Source};
use shared::request::FieldError;
use shared::schema::schema_errors_of;

/// A file and what was found in it so far.
pub struct Check<'a> {
    source: Source<'a>,
    /// The functions without an error outside of their schemas, each with its index in the file.
    functions: Vec<(usize, Entry)>,
    findings: Vec<Finding>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub position: Position,
    /// RFC 6901 pointer from the file's root.
    pub pointer: String,
    pub severity: Severity,
    /// Completes a sentence that begins with the pointer.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Error,
    /// The file can be deployed.
    Warning,
}

impl<'a> Check<'a> {
    /// Finds every error that the file shows without AWS. The worker's timeout bounds the attempts.
    #[must_use]
    pub fn new(text: &'a str, worker_timeout_secs: u32) -> Self {
        let mut check = Self {
            source: Source::new(text),
            functions: Vec::new(),
            findings: Vec::new(),
        };
        if let Some((position, detail)) = check.source.syntax_error() {
            check.findings.push(Finding {
                position,
                pointer: String::new(),
                severity: Severity::Error,
                detail,
            });
            return check;
        }
        let (functions, errors) = read_all(text, worker_timeout_secs);
        let in_schemas = functions
            .iter()
            .flat_map(|(index, entry)| schema_errors_of(*index, entry));
        for FieldError { pointer, detail } in errors.into_iter().chain(in_schemas) {
            check.report(Severity::Error, pointer, detail);
        }
        check.functions = functions;
        check
    }

    /// Reports targets that would run whatever was deployed last.
    pub fn report_unqualified(&mut self, severity: Severity) {
        let detail = match severity {
            Severity::Error => {
                "must have an alias or version to be in TargetFunctionArns: $LATEST cannot be \
                 rolled back"
            }
            Severity::Warning => "has no alias or version: $LATEST cannot be rolled back",
        };
        let unqualified = |(index, entry): &(usize, Entry)| {
            let function = &entry.target()?.function;
            (!function.is_qualified()).then_some(*index)
        };
        let found: Vec<_> = self.functions.iter().filter_map(unqualified).collect();
        for index in found {
            self.report(severity, function_pointer(index), detail);
        }
    }

    /// Warns of members of schemas that have no effect.
    pub fn report_unknown_keywords(&mut self) {
        let functions = self.functions.iter();
        let unknown = functions.flat_map(|(index, entry)| keywords::unknown(*index, entry));
        for pointer in unknown.collect::<Vec<_>>() {
            let detail = "is no keyword of JSON Schema, so it has no effect";
            self.report(Severity::Warning, pointer, detail);
        }
    }

    /// How many functions have no error outside of their schemas.
    #[must_use]
    pub const fn functions(&self) -> usize {
        self.functions.len()
    }

    /// In the order of their positions.
    #[must_use]
    pub fn findings(&self) -> Vec<&Finding> {
        let mut findings: Vec<_> = self.findings.iter().collect();
        findings.sort_by_key(|finding| finding.position);
        findings
    }

    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let findings = self.findings.iter();
        findings
            .filter(|finding| finding.severity == severity)
            .count()
    }

    fn report(
        &mut self,
        severity: Severity,
        pointer: impl Into<String>,
        detail: impl Into<String>,
    ) {
        let pointer = pointer.into();
        self.findings.push(Finding {
            position: self.source.locate(&pointer),
            pointer,
            severity,
            detail: detail.into(),
        });
    }
}

/// The member that names a function's target.
fn function_pointer(index: usize) -> String {
    format!("/functions/{index}/target/lambda/function")
}
