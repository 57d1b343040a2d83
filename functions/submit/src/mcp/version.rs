//! The revisions of the protocol, and which of its two eras a request belongs to.

/// The name of the tasks extension.
pub(super) const TASKS: &str = "io.modelcontextprotocol/tasks";

/// The modern revision: each request carries its version and the client's capabilities.
pub(super) const MODERN: &str = "2026-07-28";
/// The legacy revisions, the newest first: a client begins with `initialize`. Without sessions,
/// which are optional, they are the same to this server.
pub(super) const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];
/// Every revision, the newest first.
pub(super) const SUPPORTED: [&str; 4] = [MODERN, LEGACY[0], LEGACY[1], LEGACY[2]];

/// A generation of the protocol's wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    Modern,
    Legacy,
}

/// The header names an unknown revision, and nothing else names the era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnknownVersion;

impl Era {
    /// The era of a request for `method`, with the version that its header `MCP-Protocol-Version`
    /// names and the one in its `_meta`.
    ///
    /// Metadata wins over the method: a removed method such as `initialize` is unknown to the
    /// modern era.
    pub(super) fn of(
        header: Option<&str>,
        meta: Option<&str>,
        method: &str,
    ) -> Result<Self, UnknownVersion> {
        let is_modern = |version: &str| is_date(version) && version >= MODERN;
        match header {
            _ if meta.is_some() || header.is_some_and(is_modern) => Ok(Self::Modern),
            _ if method == "initialize" => Ok(Self::Legacy),
            // Clients of 2025-03-26 send no header (Streamable HTTP, "Protocol Version Header").
            None => Ok(Self::Legacy),
            Some(version) if LEGACY.contains(&version) => Ok(Self::Legacy),
            Some(_) => Err(UnknownVersion),
        }
    }
}

/// The revision that `initialize` returns. A handshake never agrees on a modern one.
#[must_use]
pub(super) fn negotiated(requested: &str) -> &'static str {
    let known = LEGACY.into_iter().find(|version| *version == requested);
    known.unwrap_or(LEGACY[0])
}

fn is_date(text: &str) -> bool {
    let is_of_date = |(index, byte): (usize, u8)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    text.len() == 10 && text.bytes().enumerate().all(is_of_date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_decides_first_then_the_header_then_the_method() {
        let modern = Some(Era::Modern);
        let legacy = Some(Era::Legacy);
        for (header, meta, method, era) in [
            (Some(MODERN), Some(MODERN), "tools/list", modern),
            (Some(MODERN), None, "tools/list", modern),
            (None, Some(MODERN), "tools/list", modern),
            (Some("2025-11-25"), Some(MODERN), "tools/list", modern),
            // A version of the future is refused by the checks of the modern era.
            (Some("2027-01-01"), None, "tools/list", modern),
            (None, Some("v999"), "tools/list", modern),
            (Some(MODERN), Some("2025-11-25"), "tools/list", modern),
            // Removed methods.
            (None, Some(MODERN), "initialize", modern),
            (Some(MODERN), None, "initialize", modern),
            (None, None, "initialize", legacy),
            (Some("2024-11-05"), None, "initialize", legacy),
            (None, None, "tools/list", legacy),
            (Some("2025-11-25"), None, "tools/list", legacy),
            (Some("2025-06-18"), None, "ping", legacy),
            (Some("2025-03-26"), None, "ping", legacy),
            (Some("2025-11-25"), Some("2025-11-25"), "tools/list", modern),
            (Some("2024-11-05"), None, "tools/list", None),
            (Some(""), None, "tools/list", None),
            (Some("9"), None, "tools/list", None),
            (Some("2026-07-28, 2026-07-28"), None, "tools/list", None),
        ] {
            let found = Era::of(header, meta, method).ok();
            assert_eq!(found, era, "{header:?} {meta:?} {method}");
        }
    }

    #[test]
    fn a_handshake_agrees_on_a_legacy_revision_only() {
        for (requested, agreed) in [
            ("2025-11-25", "2025-11-25"),
            ("2025-06-18", "2025-06-18"),
            ("2025-03-26", "2025-03-26"),
            (MODERN, "2025-11-25"),
            ("2024-11-05", "2025-11-25"),
            ("", "2025-11-25"),
        ] {
            assert_eq!(negotiated(requested), agreed, "{requested}");
        }
    }
}
