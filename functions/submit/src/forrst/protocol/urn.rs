//! The names of extensions. The protocol's own pages spell them in two ways, so both are read, and callers are answered in theirs.

/// An extension that is served here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionName {
    /// The work goes on after the answer.
    Async,
    /// Somebody is told of its end.
    Webhook,
    /// A repeated call is the same call.
    Idempotency,
    /// The time that the call has.
    Deadline,
    /// What the call belongs to, for logs.
    Tracing,
    /// Whether trying again is of use.
    Retry,
}

/// How an extension's name was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spelling {
    /// `urn:cline:forrst:ext:NAME`, with the vendor.
    #[default]
    Canonical,
    /// `urn:forrst:ext:NAME`.
    Short,
}

impl Spelling {
    const ALL: [Self; 2] = [Self::Canonical, Self::Short];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Canonical => "urn:cline:forrst:ext:",
            Self::Short => "urn:forrst:ext:",
        }
    }
}

impl ExtensionName {
    /// Every extension.
    pub const ALL: [Self; 6] = [
        Self::Async,
        Self::Webhook,
        Self::Idempotency,
        Self::Deadline,
        Self::Tracing,
        Self::Retry,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Webhook => "webhook",
            Self::Idempotency => "idempotency",
            Self::Deadline => "deadline",
            Self::Tracing => "tracing",
            Self::Retry => "retry",
        }
    }

    /// The name in this spelling.
    #[must_use]
    pub fn urn(self, spelling: Spelling) -> String {
        format!("{}{}", spelling.prefix(), self.word())
    }

    /// Reads a name in either spelling; `None` for an extension that is not served here.
    #[must_use]
    pub fn parse(urn: &str) -> Option<(Self, Spelling)> {
        let (spelling, word) = Spelling::ALL
            .into_iter()
            .find_map(|spelling| Some((spelling, urn.strip_prefix(spelling.prefix())?)))?;
        let name = Self::ALL.into_iter().find(|name| name.word() == word)?;
        Some((name, spelling))
    }

    /// Every name in its canonical spelling.
    pub(super) fn canonical_urns() -> Vec<String> {
        Self::ALL
            .into_iter()
            .map(|name| name.urn(Spelling::Canonical))
            .collect()
    }
}

/// Whether this is a URN at all (RFC 8141, section 2): a namespace of 2 to 32 letters, digits and hyphens, and a name in it of
/// characters that a URI may hold.
pub(super) fn is_urn(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let Some((namespace, name)) = rest.split_once(':') else {
        return false;
    };
    let at_the_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    scheme.eq_ignore_ascii_case("urn")
        && (2..=32).contains(&namespace.len())
        && at_the_edge(namespace.bytes().next())
        && at_the_edge(namespace.bytes().next_back())
        && namespace
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"\\<>^`{|}[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_itself_back_in_both_spellings() {
        for name in ExtensionName::ALL {
            for spelling in Spelling::ALL {
                let urn = name.urn(spelling);
                assert!(is_urn(&urn));
                assert_eq!(ExtensionName::parse(&urn), Some((name, spelling)));
            }
        }
    }

    #[test]
    fn other_names_are_not_served() {
        for urn in [
            "urn:forrst:ext:asynchronous",
            "urn:acme:forrst:ext:async",
            "urn:cline:forrst:ext:Async",
            "URN:cline:forrst:ext:async",
            "urn:cline:forrst:ext:async:fn:status",
        ] {
            assert!(is_urn(urn), "{urn}");
            assert_eq!(ExtensionName::parse(urn), None, "{urn}");
        }
    }

    #[test]
    fn what_is_no_urn_is_told_apart() {
        for text in [
            "",
            "async",
            "urn:",
            "urn:forrst",
            "urn:forrst:",
            "urn::async",
            "urn:f:async",
            "urn:-forrst:async",
            "urn:for rst:async",
            "urn:forrst:ext async",
            "urn:forrst:\"",
            "urn:forrst:é",
            "https://forrst.example/ext/async",
        ] {
            assert!(!is_urn(text), "{text}");
        }
    }
}
