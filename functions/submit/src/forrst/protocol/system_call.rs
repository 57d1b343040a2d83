//! Calls of the protocol's own functions: their schemas, and how they are read.

use semver::Version;
use serde::de::DeserializeOwned;

use super::arguments::{
    DescribeArguments, DescribeMembers, HealthArguments, ListArguments, NoArguments,
    OperationArguments,
};
use super::describe::{CapabilitiesView, DescribeView, SchemaView};
use super::error::{ErrorCollector, ErrorObject, Errors};
use super::function::SystemFunction;
use super::health::{HealthView, PingView};
use super::operation::{CancelView, ListView, StatusView};
use super::request::ForrstRequest;
use super::urn::Spellings;
use shared::catalogue::{ArgumentError, Catalogue, Unknown, read_as, schema_of};
use shared::domain::id::OperationId;
use shared::domain::json::{Json, members};
use shared::domain::operation::Owner;
use shared::request::{ErrorCode, Invalid, ListParameters, ListRequest, VERSION_RULE};
use shared::schema::Validators;

const ARGUMENTS: &str = "/call/arguments";

impl SystemFunction {
    pub(super) fn arguments_schema(self) -> Json {
        match self {
            Self::Status | Self::Cancel => schema_of::<OperationArguments>(),
            Self::List => schema_of::<ListArguments>(),
            Self::Ping | Self::Capabilities => schema_of::<NoArguments>(),
            Self::Describe => schema_of::<DescribeMembers>(),
            Self::Health => schema_of::<HealthArguments>(),
        }
    }

    fn result_schema(self) -> Json {
        match self {
            Self::Status => schema_of::<StatusView<'_>>(),
            Self::Cancel => schema_of::<CancelView<'_>>(),
            Self::List => schema_of::<ListView<'_>>(),
            Self::Ping => schema_of::<PingView>(),
            Self::Capabilities => schema_of::<CapabilitiesView>(),
            Self::Describe => schema_of::<DescribeView>(),
            Self::Health => schema_of::<HealthView>(),
        }
    }
}

/// A call of one of the protocol's functions, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemCall {
    Status(OperationId),
    Cancel(OperationId),
    List(ListRequest),
    Ping,
    Capabilities,
    Describe(DescribeArguments),
    Health(HealthArguments),
}

impl SystemCall {
    /// Reads a call of one of the protocol's own functions; `None` when it calls another function.
    ///
    /// # Errors
    ///
    /// Every error of the call.
    #[must_use]
    pub fn read(
        request: &ForrstRequest,
        spellings: &Spellings,
        owner: &Owner,
        validators: &Validators,
    ) -> Option<Result<Self, Errors>> {
        let function = SystemFunction::named(&request.function)?;
        let mut errors = ErrorCollector::default();
        if let Some(version) = &request.version
            && version.to_string() != SystemFunction::VERSION
        {
            let unknown = Unknown::Version {
                available: vec![SystemFunction::VERSION],
            };
            errors.push(ErrorObject::unknown_function(
                "/call",
                &request.function,
                request.version.as_ref(),
                &unknown,
            ));
        }
        request
            .extensions
            .reject_those_of_operations(&request.function, spellings, &mut errors);
        let arguments = &request.arguments;
        let checked =
            validators.check_generated(function.name(), || function.arguments_schema(), arguments);
        let call = match checked {
            Ok(()) => Self::read_arguments(function, arguments, owner, &mut errors),
            Err(wrong) => {
                for error in wrong {
                    push(error, &mut errors);
                }
                match function {
                    SystemFunction::List => check_texts(arguments, owner, &mut errors),
                    SystemFunction::Describe => check_version(arguments, &mut errors),
                    _ => {}
                }
                Err(Invalid)
            }
        };
        Some(errors.finish(call))
    }

    fn read_arguments(
        function: SystemFunction,
        arguments: &Json,
        owner: &Owner,
        errors: &mut ErrorCollector,
    ) -> Result<Self, Invalid> {
        match function {
            SystemFunction::Status => operation_id(arguments, errors).map(Self::Status),
            SystemFunction::Cancel => operation_id(arguments, errors).map(Self::Cancel),
            SystemFunction::List => {
                let arguments = read(arguments, errors)?;
                list(arguments, owner, errors).map(Self::List)
            }
            SystemFunction::Ping => read(arguments, errors).map(|NoArguments {}| Self::Ping),
            SystemFunction::Capabilities => {
                read(arguments, errors).map(|NoArguments {}| Self::Capabilities)
            }
            SystemFunction::Describe => describe_arguments(arguments, errors).map(Self::Describe),
            SystemFunction::Health => read(arguments, errors).map(Self::Health),
        }
    }
}

fn read<T: DeserializeOwned>(arguments: &Json, errors: &mut ErrorCollector) -> Result<T, Invalid> {
    read_as(arguments).map_err(|error| push(error, errors))
}

fn push(ArgumentError { pointer, detail }: ArgumentError, errors: &mut ErrorCollector) -> Invalid {
    let pointer = format!("{ARGUMENTS}{pointer}");
    errors.push(ErrorObject::at(
        ErrorCode::InvalidArguments,
        pointer,
        &detail,
    ))
}

/// A malformed id gets the response of an unknown one, and costs no read.
fn operation_id(arguments: &Json, errors: &mut ErrorCollector) -> Result<OperationId, Invalid> {
    let OperationArguments { operation_id } = read(arguments, errors)?;
    let id = operation_id.parse();
    id.map_err(|_| errors.push(ErrorObject::no_such_operation()))
}

/// Finds the errors of those parameters of a list that are texts, when the schema refuses others.
fn check_texts(arguments: &Json, owner: &Owner, errors: &mut ErrorCollector) {
    let mut parameters = ListParameters::at(ARGUMENTS);
    for (name, value) in members(arguments.raw()).into_iter().flatten() {
        if let Ok(text) = serde_json::from_str::<String>(value.get())
            && name != "limit"
        {
            parameters.set(&name, &text);
        }
    }
    if let Err(field_errors) = parameters.finish(owner) {
        errors.extend(ErrorCode::InvalidArguments, field_errors);
    }
}

/// Finds the error of the version of `fn:describe`, when the schema refuses another member.
fn check_version(arguments: &Json, errors: &mut ErrorCollector) {
    for (name, value) in members(arguments.raw()).into_iter().flatten() {
        if name == "version"
            && let Ok(text) = serde_json::from_str::<String>(value.get())
        {
            let _ = version(&text, errors);
        }
    }
}

fn version(text: &str, errors: &mut ErrorCollector) -> Result<Version, Invalid> {
    Version::parse(text)
        .map_err(|_| push(ArgumentError::of_member("version", VERSION_RULE), errors))
}

fn describe_arguments(
    arguments: &Json,
    errors: &mut ErrorCollector,
) -> Result<DescribeArguments, Invalid> {
    let members: DescribeMembers = read(arguments, errors)?;
    let version = match members.version {
        Some(text) => Some(version(&text, errors)?),
        None => None,
    };
    Ok(DescribeArguments {
        function: members.function,
        version,
        include_schema: members.include_schema,
    })
}

fn list(
    arguments: ListArguments,
    owner: &Owner,
    errors: &mut ErrorCollector,
) -> Result<ListRequest, Invalid> {
    let mut parameters = ListParameters::at(ARGUMENTS);
    for (name, value) in [
        ("status", arguments.status),
        ("callback_status", arguments.callback_status),
        ("function", arguments.function),
        ("created_after", arguments.created_after),
        ("created_before", arguments.created_before),
        ("limit", arguments.limit.map(|limit| limit.to_string())),
        ("cursor", arguments.cursor),
    ] {
        if let Some(value) = value {
            parameters.set(name, &value);
        }
    }
    parameters.finish(owner).map_err(|field_errors| {
        errors.extend(ErrorCode::InvalidArguments, field_errors);
        Invalid
    })
}

/// Describes a function of the catalogue or one of the protocol's own.
///
/// # Errors
///
/// When there is no function of this name and version.
pub fn describe(
    arguments: &DescribeArguments,
    catalogue: Catalogue,
) -> Result<DescribeView, ErrorObject> {
    let described = match SystemFunction::named(&arguments.function) {
        Some(function) => {
            let schema = || SchemaView {
                arguments: function.arguments_schema(),
                returns: function.result_schema(),
            };
            DescribeView::of_system(function, arguments, schema)
        }
        None => DescribeView::of_catalogue(catalogue, arguments),
    };
    described.map_err(|unknown| {
        ErrorObject::unknown_function(
            "/call/arguments",
            &arguments.function,
            arguments.version.as_ref(),
            &unknown,
        )
    })
}
