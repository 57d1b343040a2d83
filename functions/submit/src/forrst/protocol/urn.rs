//! The names of extensions. The protocol's pages spell them in two ways, so both are read, and the
//! response has the caller's.

use std::str::FromStr;

/// An extension that Ferry supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtensionName {
    /// The work continues after the response.
    Async,
    /// A callback reports its end.
    Webhook,
    /// A repeated call is the same call.
    Idempotency,
    /// The time that the call has.
    Deadline,
    /// What the call belongs to, for logs.
    Tracing,
    /// Whether a retry can succeed.
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

    #[must_use]
    pub fn urn(self, spelling: Spelling) -> String {
        format!("{}{}", spelling.prefix(), self.word())
    }

    /// Every name in its canonical spelling.
    pub(super) fn canonical_urns() -> Vec<String> {
        Self::ALL
            .into_iter()
            .map(|name| name.urn(Spelling::Canonical))
            .collect()
    }
}

/// An extension's name as a caller spelled it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionUrn {
    pub name: ExtensionName,
    pub spelling: Spelling,
}

/// A name that is not one of an extension that Ferry supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownExtension;

/// Reads a name in either spelling.
impl FromStr for ExtensionUrn {
    type Err = UnknownExtension;

    fn from_str(urn: &str) -> Result<Self, UnknownExtension> {
        let (spelling, word) = Spelling::ALL
            .into_iter()
            .find_map(|spelling| Some((spelling, urn.strip_prefix(spelling.prefix())?)))
            .ok_or(UnknownExtension)?;
        let mut names = ExtensionName::ALL.into_iter();
        let name = names.find(|name| name.word() == word);
        let name = name.ok_or(UnknownExtension)?;
        Ok(Self { name, spelling })
    }
}

/// How a caller spelled the names of extensions, the first one first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spellings(Vec<ExtensionUrn>);

impl Spellings {
    pub(super) fn record(&mut self, urn: ExtensionUrn) {
        if self.0.iter().all(|known| known.name != urn.name) {
            self.0.push(urn);
        }
    }

    /// An extension's name as the caller spelled it. One that the caller did not name is spelled as
    /// the first that they did.
    #[must_use]
    pub fn urn(&self, name: ExtensionName) -> String {
        let spelled = self.0.iter().find(|known| known.name == name);
        let urn = spelled.or(self.0.first());
        name.urn(urn.map_or(Spelling::Canonical, |urn| urn.spelling))
    }
}

/// Whether this is a URN (RFC 8141, section 2): a namespace of 2 to 32 letters, digits and hyphens,
/// and in it a name of characters that a URI may hold.
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
    fn every_name_is_read_back_in_both_spellings() {
        for name in ExtensionName::ALL {
            for spelling in Spelling::ALL {
                let urn = name.urn(spelling);
                assert!(is_urn(&urn));
                assert_eq!(urn.parse(), Ok(ExtensionUrn { name, spelling }));
            }
        }
    }

    #[test]
    fn other_names_are_unknown() {
        for urn in [
            "urn:forrst:ext:asynchronous",
            "urn:acme:forrst:ext:async",
            "urn:cline:forrst:ext:Async",
            "URN:cline:forrst:ext:async",
            "urn:cline:forrst:ext:async:fn:status",
        ] {
            assert!(is_urn(urn), "{urn}");
            assert_eq!(urn.parse::<ExtensionUrn>(), Err(UnknownExtension), "{urn}");
        }
    }

    #[test]
    fn other_texts_are_not_urns() {
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
