//! The functions that the protocol defines.

use shared::catalogue::SideEffect;

/// A function that the protocol defines. It responds at once and creates no operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemFunction {
    /// Shows an operation.
    Status,
    /// Cancels an operation.
    Cancel,
    /// Lists the caller's operations.
    List,
    /// Shows that the service answers.
    Ping,
    /// Names the functions, extensions and limits of the service.
    Capabilities,
    /// Describes one function.
    Describe,
    /// Shows whether the service and its parts work.
    Health,
}

impl SystemFunction {
    pub const ALL: [Self; 7] = [
        Self::Status,
        Self::Cancel,
        Self::List,
        Self::Ping,
        Self::Capabilities,
        Self::Describe,
        Self::Health,
    ];

    /// Each of them has this version.
    pub const VERSION: &'static str = "1.0.0";

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
            Self::Ping => "Shows that the service answers.",
            Self::Capabilities => "Names the functions, extensions and limits of this service.",
            Self::Describe => "Describes a function.",
            Self::Health => "Shows whether the service and its parts work.",
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
}
