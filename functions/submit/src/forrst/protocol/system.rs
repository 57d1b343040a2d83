//! Calls of the protocol's own functions: their schemas, and how they are read.

use schemars::Schema;
use semver::Version;
use serde::de::DeserializeOwned;

use super::arguments::{
    DescribeArguments, DescribeMembers, HealthArguments, ListArguments, NoArguments,
    OperationArguments,
};
use super::describe::{CapabilitiesView, DescribeView, SchemaView};
use super::error::{ErrorObject, Errors, Faults};
use super::function::SystemFunction;
use super::health::{HealthView, PingView};
use super::operation::{CancelView, ListView, StatusView};
use super::request::Request;
use super::urn::Spellings;
use shared::catalogue::{ArgumentFault, Catalogue, Unknown, read_as, schema_of};
use shared::domain::id::OperationId;
use shared::domain::json::{Json, members};
use shared::domain::operation::Owner;
use shared::request::{Code, Invalid, ListParameters, ListRequest, VERSION_RULE};
use shared::schema::Validators;

const ARGUMENTS: &str = "/call/arguments";

impl SystemFunction {
    pub(super) fn arguments_schema(self) -> Schema {
        match self {
            Self::Status | Self::Cancel => schema_of::<OperationArguments>(),
            Self::List => schema_of::<ListArguments>(),
            Self::Ping | Self::Capabilities => schema_of::<NoArguments>(),
            Self::Describe => schema_of::<DescribeMembers>(),
            Self::Health => schema_of::<HealthArguments>(),
        }
    }

    fn result_schema(self) -> Schema {
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
    /// Every fault of the call.
    #[must_use]
    pub fn read(
        request: &Request,
        spellings: &Spellings,
        owner: &Owner,
        validators: &Validators,
    ) -> Option<Result<Self, Errors>> {
        let function = SystemFunction::named(&request.function)?;
        let mut faults = Faults::default();
        if let Some(version) = &request.version
            && version.to_string() != SystemFunction::VERSION
        {
            let unknown = Unknown::Version {
                available: vec![SystemFunction::VERSION],
            };
            faults.push(ErrorObject::unknown_function(
                "/call",
                &request.function,
                request.version.as_ref(),
                &unknown,
            ));
        }
        request
            .extensions
            .reject_those_of_operations(&request.function, spellings, &mut faults);
        let arguments = &request.arguments;
        let checked = validators.check_by(
            (function.name(), SystemFunction::VERSION),
            || function.arguments_schema(),
            arguments,
        );
        let call = match checked {
            Ok(()) => Self::read_arguments(function, arguments, owner, &mut faults),
            Err(wrong) => {
                for fault in wrong {
                    push(fault, &mut faults);
                }
                match function {
                    SystemFunction::List => check_texts(arguments, owner, &mut faults),
                    SystemFunction::Describe => check_version(arguments, &mut faults),
                    _ => {}
                }
                Err(Invalid)
            }
        };
        Some(faults.finish(call))
    }

    fn read_arguments(
        function: SystemFunction,
        arguments: &Json,
        owner: &Owner,
        faults: &mut Faults,
    ) -> Result<Self, Invalid> {
        match function {
            SystemFunction::Status => operation_id(arguments, faults).map(Self::Status),
            SystemFunction::Cancel => operation_id(arguments, faults).map(Self::Cancel),
            SystemFunction::List => {
                let arguments = read(arguments, faults)?;
                list(arguments, owner, faults).map(Self::List)
            }
            SystemFunction::Ping => read(arguments, faults).map(|NoArguments {}| Self::Ping),
            SystemFunction::Capabilities => {
                read(arguments, faults).map(|NoArguments {}| Self::Capabilities)
            }
            SystemFunction::Describe => describe_arguments(arguments, faults).map(Self::Describe),
            SystemFunction::Health => read(arguments, faults).map(Self::Health),
        }
    }
}

fn read<T: DeserializeOwned>(arguments: &Json, faults: &mut Faults) -> Result<T, Invalid> {
    read_as(arguments).map_err(|fault| push(fault, faults))
}

fn push(ArgumentFault { pointer, detail }: ArgumentFault, faults: &mut Faults) -> Invalid {
    let pointer = format!("{ARGUMENTS}{pointer}");
    faults.push(ErrorObject::at(Code::InvalidArguments, pointer, &detail))
}

/// A malformed id is answered as an unknown one, and costs no read.
fn operation_id(arguments: &Json, faults: &mut Faults) -> Result<OperationId, Invalid> {
    let OperationArguments { operation_id } = read(arguments, faults)?;
    let id = operation_id.parse();
    id.map_err(|_| faults.push(ErrorObject::no_such_operation()))
}

/// Finds the faults of those parameters of a list that are texts, when the schema refuses others.
fn check_texts(arguments: &Json, owner: &Owner, faults: &mut Faults) {
    let mut parameters = ListParameters::at(ARGUMENTS);
    for (name, value) in members(arguments.raw()).into_iter().flatten() {
        if let Ok(text) = serde_json::from_str::<String>(value.get())
            && name != "limit"
        {
            parameters.set(&name, &text);
        }
    }
    if let Err(errors) = parameters.finish(owner) {
        faults.extend(Code::InvalidArguments, errors);
    }
}

/// Finds the fault of the version of `fn:describe`, when the schema refuses another member.
fn check_version(arguments: &Json, faults: &mut Faults) {
    for (name, value) in members(arguments.raw()).into_iter().flatten() {
        if name == "version"
            && let Ok(text) = serde_json::from_str::<String>(value.get())
        {
            let _ = version(&text, faults);
        }
    }
}

fn version(text: &str, faults: &mut Faults) -> Result<Version, Invalid> {
    Version::parse(text)
        .map_err(|_| push(ArgumentFault::of_member("version", VERSION_RULE), faults))
}

fn describe_arguments(arguments: &Json, faults: &mut Faults) -> Result<DescribeArguments, Invalid> {
    let members: DescribeMembers = read(arguments, faults)?;
    let version = match members.version {
        Some(text) => Some(version(&text, faults)?),
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
    faults: &mut Faults,
) -> Result<ListRequest, Invalid> {
    let mut parameters = ListParameters::at(ARGUMENTS);
    for (name, value) in [
        ("status", arguments.status),
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
    parameters.finish(owner).map_err(|errors| {
        faults.extend(Code::InvalidArguments, errors);
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
