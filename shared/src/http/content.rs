//! The headers that describe a body: `Content-Type` and `Content-Encoding`.

use super::grammar::{Reader, list_members};

/// The charsets that Ferry reads. Every US-ASCII text is UTF-8, and `utf8` is a common misspelling.
const CHARSETS: [&str; 3] = ["utf-8", "utf8", "us-ascii"];

/// Whether a `Content-Type` (RFC 9110, section 8.3.1) is JSON in UTF-8. Each `charset` counts,
/// since readers differ in which of two they follow; no other parameter changes how JSON is read.
pub(super) fn is_json(content_type: &str) -> bool {
    let mut reader = Reader::new(content_type);
    let kind = reader.token();
    let subtype = reader.take('/').then(|| reader.token()).flatten();
    let (Some(kind), Some(subtype)) = (kind, subtype) else {
        return false;
    };
    let subtype = subtype.to_ascii_lowercase();
    let json = subtype == "json" || subtype.ends_with("+json");
    let Some(parameters) = reader.parameters() else {
        return false;
    };
    kind.eq_ignore_ascii_case("application")
        && json
        && parameters
            .iter()
            .all(|parameter| match parameter.value.as_deref() {
                Some(charset) if parameter.is("charset") => CHARSETS
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(charset)),
                // A parameter of a media type has a value (RFC 9110, section 5.6.6).
                value => value.is_some(),
            })
}

/// Whether a `Content-Encoding` (RFC 9110, section 8.4) leaves the body as it is.
pub(super) fn is_identity(content_encoding: &str) -> bool {
    list_members(content_encoding)
        .iter()
        .all(|coding| coding.eq_ignore_ascii_case("identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_utf_8_is_known_by_the_grammar_of_media_types() {
        for content_type in [
            "application/json",
            "APPLICATION/JSON",
            "application/merge-patch+json",
            "application/json;",
            "application/json ; ; charset=utf-8 ;",
            "Application/JSON; Charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            r#"application/json; charset="u\tf-8""#,
            "application/json; charset=utf8",
            "application/json; charset=US-ASCII",
            "application/json; charset=utf-8; charset=us-ascii",
            "application/json; profile=\"x; charset=latin1\"",
            "application/json; profile=\"a, b\"; charset=utf-8",
            r#"application/json; profile="\"; charset=latin1""#,
            "application/json; xcharset=latin1",
        ] {
            assert!(is_json(content_type), "{content_type}");
        }
    }

    #[test]
    fn other_types_and_charsets_are_not_json() {
        for content_type in [
            "",
            "json",
            "application",
            "application/",
            "/json",
            "application/ json",
            "application/jsonp",
            "application/json5",
            "application/json-seq",
            "application/json+xml",
            "text/json",
            "text/plain",
            "application/x-www-form-urlencoded",
            "text/plain; type=\"application/json\"",
            "application/json, application/json",
            "application/json,text/plain",
            "application/json charset=utf-8",
            "application/json; charset=latin1",
            "application/json; charset=utf-16",
            "application/json; charset=\"iso-8859-1\"",
            "application/json; CHARSET = latin1",
            "application/json; charset=utf-8; charset=latin1",
            "application/json; charset=latin1; charset=utf-8",
            "application/json; profile=\"x\"; charset=latin1",
            "application/json; charset",
            "application/json; charset=",
            "application/json; charset=\"\"",
            "application/json; charset='utf-8'",
            "application/json; charset=\"utf-8",
            "application/json; charset=utf-8 x",
            "application/json; profile=\"x; charset=utf-8",
            "application/json; profile",
        ] {
            assert!(!is_json(content_type), "{content_type}");
        }
    }

    #[test]
    fn only_identity_leaves_a_body_as_it_is() {
        for (content_encoding, expected) in [
            ("", true),
            ("identity", true),
            ("Identity", true),
            ("identity, identity", true),
            (" ,identity,", true),
            ("gzip", false),
            ("identity, gzip", false),
            ("gzip, identity", false),
            ("identity;q=1", false),
            ("\"identity\"", false),
            ("identity gzip", false),
        ] {
            assert_eq!(
                is_identity(content_encoding),
                expected,
                "{content_encoding}"
            );
        }
    }
}
