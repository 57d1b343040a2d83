//! The grammar that header fields share (RFC 9110, section 5.6): lists, tokens, quoted strings and
//! parameters.
//!
//! Reading from left to right by the grammar never takes text inside a quoted string for syntax.

use std::borrow::Cow;

/// The members of a list, without the empty ones, which a recipient has to ignore (RFC 9110,
/// section 5.6.1.2). A comma inside a quoted string does not separate. A member may be malformed:
/// it ends at the next comma that separates, and the ones after it can still be read.
pub(super) fn list_members(value: &str) -> Vec<&str> {
    let mut members = Vec::new();
    let (mut start, mut in_quotes, mut escaped) = (0, false, false);
    for (index, character) in value.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' => in_quotes = !in_quotes,
            ',' if !in_quotes => {
                members.push(&value[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    members.push(&value[start..]);
    members
        .into_iter()
        .map(|member| member.trim_matches(is_whitespace))
        .filter(|member| !member.is_empty())
        .collect()
}

/// A name with or without a value: a parameter of a media type, a preference, or a parameter of a
/// preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter<'a> {
    name: &'a str,
    /// Without its quotes and escapes.
    pub(super) value: Option<Cow<'a, str>>,
}

impl Parameter<'_> {
    /// Whether it has this name, in any case (RFC 9110, section 5.6.6; RFC 7240, section 2).
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// Reads one value from left to right: each method continues after what the one before returned.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(value: &'a str) -> Self {
        Self { rest: value }
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes this character if it comes next; whether it does.
    pub(super) fn take(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// `token`: one or more of the characters that need no quotes.
    pub(super) fn token(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|character| !is_token(character));
        let (token, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// `quoted-string`, as its content.
    fn quoted_string(&mut self) -> Option<String> {
        let mut content = String::new();
        let mut characters = self.rest.strip_prefix('"')?.chars();
        loop {
            match characters.next()? {
                '"' => {
                    self.rest = characters.as_str();
                    return Some(content);
                }
                '\\' => content.push(characters.next().filter(|next| is_text(*next))?),
                character if is_text(character) => content.push(character),
                _ => return None,
            }
        }
    }

    /// A name, and after `=` a token or a quoted string. White space around `=` is wrong in a
    /// parameter and allowed in a preference, and cannot be misread in either. Nothing after `=` is
    /// no value (RFC 7240, section 2).
    pub(super) fn parameter(&mut self) -> Option<Parameter<'a>> {
        let name = self.token()?;
        self.skip_whitespace();
        if !self.take('=') {
            return Some(Parameter { name, value: None });
        }
        self.skip_whitespace();
        let value = if self.rest.starts_with('"') {
            Some(Cow::Owned(self.quoted_string()?))
        } else {
            self.token().map(Cow::Borrowed)
        };
        let value = value.filter(|value| !value.is_empty());
        Some(Parameter { name, value })
    }

    /// The parameters up to the end of the value, each after a semicolon; empty ones do not count.
    /// `None` when anything else follows.
    pub(super) fn parameters(mut self) -> Option<Vec<Parameter<'a>>> {
        let mut parameters = Vec::new();
        loop {
            self.skip_whitespace();
            if self.is_at_end() {
                return Some(parameters);
            }
            if !self.take(';') {
                return None;
            }
            self.skip_whitespace();
            if !self.is_at_end() && !self.rest.starts_with(';') {
                parameters.push(self.parameter()?);
            }
        }
    }

    fn skip_whitespace(&mut self) {
        self.rest = self.rest.trim_start_matches(is_whitespace);
    }
}

/// `OWS` and `BWS`.
const fn is_whitespace(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

/// `tchar`.
fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

/// Whether a quoted string may have this: no control characters but the tab. A character that is
/// not ASCII is `obs-text`.
const fn is_text(character: char) -> bool {
    character == '\t' || !character.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(text: &str) -> Option<Vec<(&str, Option<String>)>> {
        let parameters = Reader::new(text).parameters()?;
        let pairs = parameters.into_iter();
        let pairs = pairs.map(|Parameter { name, value }| (name, value.map(Cow::into_owned)));
        Some(pairs.collect())
    }

    #[test]
    fn only_commas_outside_quoted_strings_separate() {
        for (value, members) in [
            ("", &[][..]),
            (" ,\t, ", &[]),
            ("a", &["a"]),
            ("a,b", &["a", "b"]),
            (",a ,, \tb,", &["a", "b"]),
            ("a=\"b, c\", d", &["a=\"b, c\"", "d"]),
            (r#"a="b\", c", d"#, &[r#"a="b\", c""#, "d"]),
            (r#"a="b\\", c"#, &[r#"a="b\\""#, "c"]),
            // Outside a quoted string a backslash escapes nothing.
            (r"a\, b", &[r"a\", "b"]),
            // A quoted string that does not end reaches to the end of the value.
            ("a, b=\"c, d", &["a", "b=\"c, d"]),
            ("é, b", &["é", "b"]),
        ] {
            assert_eq!(list_members(value), members, "{value}");
        }
    }

    #[test]
    fn parameters_have_values_in_either_form_or_none() {
        let text = |value: &str| Some(value.to_owned());
        for (value, expected) in [
            ("", vec![]),
            (";", vec![]),
            (" ; ;\t;", vec![]),
            (";a=b", vec![("a", text("b"))]),
            ("; A = \"b\" ;c", vec![("A", text("b")), ("c", None)]),
            (";a=;b=\"\"", vec![("a", None), ("b", None)]),
            (r#";a="b;c=d,\"\\\e""#, vec![("a", text(r#"b;c=d,"\e"#))]),
            (";a=\"b\tc é\"", vec![("a", text("b\tc é"))]),
            (
                ";a=!#$%&'*+-.^_`|~09",
                vec![("a", text("!#$%&'*+-.^_`|~09"))],
            ),
            (";a=b;a=c", vec![("a", text("b")), ("a", text("c"))]),
        ] {
            assert_eq!(parameters(value), Some(expected), "{value}");
        }
    }

    #[test]
    fn text_outside_the_grammar_is_not_a_parameter() {
        for value in [
            "a=b",
            ";=b",
            ";a b",
            ";a=b c",
            ";a=b\"c\"",
            ";a=\"b\"c",
            ";a=\"b",
            ";a=\"b\\",
            ";a=\"b\\\"",
            ";a=\"\u{1}\"",
            ";a=\"\\\u{7f}\"",
            ";a=\"b\nc\"",
            ";a=b/c",
            ";a=b,c",
            ";a=é",
            ";é=a",
            ";a==b",
            ";(a)=b",
            "\u{a0};a=b",
        ] {
            assert_eq!(parameters(value), None, "{value:?}");
        }
    }
}
