//! The protocol's own functions: which there are, and what they are called with.

mod arguments;

use schemars::Schema;
use semver::Version;
use serde::de::DeserializeOwned;
use serde_json::json;

pub use self::arguments::{DescribeArguments, HealthArguments, HealthComponent};
use self::arguments::{DescribeMembers, ListArguments, NoArguments, OperationArguments};
use super::describe::{CapabilitiesView, DescribeView};
use super::error::{ErrorObject, Errors, Faults};
use super::health::{HealthView, PingView};
use super::operation::{CancelView, ListView, StatusView};
use super::request::{Echo, Request};
use shared::catalogue::{ArgumentFault, SideEffect, Unknown, read_as, schema_of};
use shared::domain::id::OperationId;
use shared::domain::json::{Json, members};
use shared::domain::operation::Owner;
use shared::http::{Code, ListRequest, Parameters, VERSION_RULE};
use shared::schema::Validators;

const ARGUMENTS: &str = "/call/arguments";

/// A function that the protocol defines. It answers at once and makes no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemFunction {
    /// How an operation stands.
    Status,
    /// Cancels an operation.
    Cancel,
    /// The caller's operations.
    List,
    /// Whether anybody is there.
    Ping,
    /// What is served here.
    Capabilities,
    /// One function.
    Describe,
    /// How the service is.
    Health,
}

impl SystemFunction {
    /// Every function.
    pub const ALL: [Self; 7] = [
        Self::Status,
        Self::Cancel,
        Self::List,
        Self::Ping,
        Self::Capabilities,
        Self::Describe,
        Self::Health,
    ];

    /// The version that each of them has.
    pub const VERSION: &'static str = "1.0.0";

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "urn:cline:forrst:ext:async:fn:status",
            Self::Cancel => "urn:cline:forrst:ext:async:fn:cancel",
            Self::List => "urn:cline:forrst:ext:async:fn:list",
            Self::Ping => "urn:cline:forrst:fn:ping",
            Self::Capabilities => "urn:cline:forrst:fn:capabilities",
            Self::Describe => "urn:cline:forrst:fn:describe",
            Self::Health => "urn:cline:forrst:fn:health",
        }
    }

    /// The function of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|function| function.name() == name)
    }

    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::Status => "Shows an operation.",
            Self::Cancel => "Cancels an operation that has not ended.",
            Self::List => "Lists the caller's operations, newest first.",
            Self::Ping => "Answers.",
            Self::Capabilities => "Names what is served here.",
            Self::Describe => "Describes a function.",
            Self::Health => "Tells how the service and its parts are.",
        }
    }

    pub(super) const fn side_effects(self) -> &'static [SideEffect] {
        match self {
            Self::Cancel => &[SideEffect::Update],
            Self::Status
            | Self::List
            | Self::Ping
            | Self::Capabilities
            | Self::Describe
            | Self::Health => &[],
        }
    }

    pub(super) fn arguments_schema(self) -> Schema {
        match self {
            Self::Status | Self::Cancel => schema_of::<OperationArguments>(),
            Self::List => schema_of::<ListArguments>(),
            Self::Ping | Self::Capabilities => schema_of::<NoArguments>(),
            Self::Describe => schema_of::<DescribeMembers>(),
            Self::Health => schema_of::<HealthArguments>(),
        }
    }

    pub(super) fn result_schema(self) -> Schema {
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

/// A call of one of them, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemCall {
    /// Show this operation.
    Status(OperationId),
    /// Cancel this operation.
    Cancel(OperationId),
    /// List these operations.
    List(ListRequest),
    /// Answer.
    Ping,
    /// Name what is served here.
    Capabilities,
    /// Describe this function.
    Describe(DescribeArguments),
    /// Tell how these parts are.
    Health(HealthArguments),
}

impl SystemCall {
    /// Reads a call of one of the protocol's own functions; `None` when it is of another function.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    #[must_use]
    pub fn read(
        request: &Request,
        echo: &Echo,
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
            .refuse_those_of_operations(&request.function, echo, &mut faults);
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
                None
            }
        };
        Some(faults.finish().and_then(|()| {
            call.ok_or_else(|| {
                ErrorObject::new(Code::InternalError, "the call was not read").into()
            })
        }))
    }

    /// `None` when something is wrong, which has been told then.
    fn read_arguments(
        function: SystemFunction,
        arguments: &Json,
        owner: &Owner,
        faults: &mut Faults,
    ) -> Option<Self> {
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
            SystemFunction::Describe => describe(arguments, faults).map(Self::Describe),
            SystemFunction::Health => read(arguments, faults).map(Self::Health),
        }
    }
}

fn read<T: DeserializeOwned>(arguments: &Json, faults: &mut Faults) -> Option<T> {
    match read_as(arguments) {
        Ok(arguments) => Some(arguments),
        Err(fault) => {
            push(fault, faults);
            None
        }
    }
}

fn push(ArgumentFault { pointer, detail }: ArgumentFault, faults: &mut Faults) {
    let pointer = format!("{ARGUMENTS}{pointer}");
    faults.push(ErrorObject::at(Code::InvalidArguments, pointer, &detail));
}

/// A malformed id is as good as an unknown one, and costs no read.
fn operation_id(arguments: &Json, faults: &mut Faults) -> Option<OperationId> {
    let OperationArguments { operation_id } = read(arguments, faults)?;
    let id = OperationId::parse(&operation_id);
    if id.is_none() {
        faults.push(ErrorObject::no_such_operation());
    }
    id
}

/// Finds what is wrong with the parameters of a list that are texts, as they have to be, when others are not.
fn check_texts(arguments: &Json, owner: &Owner, faults: &mut Faults) {
    let mut parameters = Parameters::at(ARGUMENTS);
    for (name, value) in members(arguments.raw()).unwrap_or_default() {
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

/// Finds what is wrong with the version that is to be described, as a text, when another member is wrong.
fn check_version(arguments: &Json, faults: &mut Faults) {
    for (name, value) in members(arguments.raw()).unwrap_or_default() {
        if name == "version"
            && let Ok(text) = serde_json::from_str::<String>(value.get())
        {
            version(&text, faults);
        }
    }
}

fn version(text: &str, faults: &mut Faults) -> Option<Version> {
    let version = Version::parse(text).ok();
    if version.is_none() {
        push(ArgumentFault::of_member("version", VERSION_RULE), faults);
    }
    version
}

fn describe(arguments: &Json, faults: &mut Faults) -> Option<DescribeArguments> {
    let members: DescribeMembers = read(arguments, faults)?;
    let version = match members.version {
        Some(text) => Some(version(&text, faults)?),
        None => None,
    };
    Some(DescribeArguments {
        function: members.function,
        version,
        include_schema: members.include_schema,
    })
}

fn list(arguments: ListArguments, owner: &Owner, faults: &mut Faults) -> Option<ListRequest> {
    let mut parameters = Parameters::at(ARGUMENTS);
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
    match parameters.finish(owner) {
        Ok(list) => Some(list),
        Err(errors) => {
            faults.extend(Code::InvalidArguments, errors);
            None
        }
    }
}

impl ErrorObject {
    /// There is no such function, or no such version of it. What was asked for stands in the members `function` and `version` of
    /// the object at the pointer `base`: for a call, `/call`.
    #[must_use]
    pub fn unknown_function(
        base: &str,
        function: &str,
        version: Option<&Version>,
        unknown: &Unknown,
    ) -> Self {
        match unknown {
            Unknown::Function => {
                let detail = "is not the name of a function here";
                Self::at(Code::FunctionNotFound, format!("{base}/function"), detail)
                    .with_details(&json!({"function": function}))
            }
            Unknown::Version { available } => {
                let detail = "is not a version of this function";
                Self::at(Code::VersionNotFound, format!("{base}/version"), detail).with_details(
                    &json!({
                        "function": function,
                        "requested_version": version.map(Version::to_string),
                        "available_versions": available,
                    }),
                )
            }
        }
    }
}
