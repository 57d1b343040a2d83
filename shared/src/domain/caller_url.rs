//! Which of its callers' URLs Ferry may send requests to: callback URLs, and the files that
//! `file.checksum` reads.
//!
//! A URL is checked twice: its text here, when it is submitted and before every attempt, and the
//! addresses of its name when a connection is made ([`Reach::check`]). This module does not
//! resolve names. If it is wrong, this module reads one host from a URL and the HTTP client
//! connects to another.
//!
//! The client reads URLs by the WHATWG rules, which repair them: they drop tabs and new lines, turn
//! backslashes into slashes, decode the host and read `0x7f.1` as an address. So a reader that
//! repairs nothing checks the raw text first, and then both readers must find the same host.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};

use super::limits::CALLER_URL_CHARS_MAX;
use super::network::{AllowedNetworks, Reach, RefusedAddress};

mod host_name;

/// A caller's URL that Ferry may send a request to, checked by its text.
///
/// The query often holds a token, so `Debug` and `Display` show the URL without it.
#[derive(Clone, PartialEq, Eq)]
pub struct CallerUrl {
    text: String,
    /// As parsed by the library that checked its host.
    wire_form: String,
    /// The host, if it is written as an address. Otherwise it is a name.
    address: Option<IpAddr>,
    reach: Reach,
}

/// A refused URL. It displays what its caller may know: what is wrong with the text, but of a host
/// only that it is refused, whichever networks are allowed. Otherwise a caller could map the
/// operator's network by trying URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct RefusedUrl {
    /// For the log.
    pub reason: RefusedUrlReason,
    sentence: Sentence,
}

/// What a caller reads after the name of the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Sentence {
    #[error("must have at most {CALLER_URL_CHARS_MAX} characters")]
    TooLong,
    #[error("must be ASCII without spaces, control characters or backslashes")]
    Character,
    #[error("must not have a fragment (#)")]
    Fragment,
    #[error("must be an https URL")]
    Scheme,
    #[error("must have two slashes after the scheme")]
    Slashes,
    #[error("must not have a user name or password")]
    UserInfo,
    #[error("must have a port from 1 to 65535, or none")]
    Port,
    #[error("must have a public host")]
    Host,
}

/// Why a URL was refused. For the log, since it may name the operator's networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefusedUrlReason {
    /// Longer than [`CALLER_URL_CHARS_MAX`].
    #[error("longer than {CALLER_URL_CHARS_MAX} characters")]
    TooLong,
    /// A control character, a space, a backslash, or a character outside ASCII.
    #[error("a character that a URL cannot have")]
    Character,
    /// A fragment, which is never sent.
    #[error("a fragment")]
    Fragment,
    /// Not `https:`, or `http:` where no network is allowed.
    #[error("a scheme that is not allowed")]
    Scheme,
    /// Fewer or more than two slashes after the scheme.
    #[error("missing or extra slashes after the scheme")]
    Slashes,
    /// A user name or a password, even an empty one.
    #[error("user information")]
    UserInfo,
    /// Port 0, an empty port, or a port that is not a plain number.
    #[error("an unusable port")]
    Port,
    /// The host is neither a name of letters, digits and hyphens nor an address.
    #[error("an invalid host name")]
    HostName,
    /// An IPv4 address that is not written as four plain numbers.
    #[error("an IPv4 address that is not written as four plain numbers")]
    DisguisedAddress,
    /// A name without a dot: its meaning depends on the local network.
    #[error("a single-label name")]
    SingleLabelName,
    /// A name that the public DNS does not serve.
    #[error("a special-use name")]
    SpecialUseName,
    /// A name under which a cloud serves credentials to the machine itself.
    #[error("a name under which a cloud serves credentials")]
    CloudServiceName,
    /// A host written as an address that is refused.
    #[error(transparent)]
    Address(#[from] RefusedAddress),
    /// The HTTP client's reader refuses the URL, or finds another host in it than this module's
    /// reader.
    #[error("a host that the HTTP client would read differently")]
    Ambiguous,
}

impl CallerUrl {
    /// Checks the text of a URL.
    ///
    /// `https` with a public name or address is accepted. Where networks are allowed, so are an
    /// address inside one of them, `http`, and single-label and special-use names. The last two
    /// must resolve to an allowed network: [`CallerUrl::reach`] requires it of the code that
    /// connects.
    ///
    /// # Errors
    ///
    /// One sentence for the caller, and the reason for the log.
    pub fn parse(text: &str, allowed: &AllowedNetworks) -> Result<Self, RefusedUrl> {
        // All errors of the text are reported before the networks are checked, so the response to
        // them is the same whichever networks are allowed.
        let (scheme_reach, host) = split_or_refuse(text)?;
        check(text, scheme_reach, host, allowed).map_err(|reason| {
            let sentence = match scheme_reach {
                Reach::Public => Sentence::Host,
                // The same response as where no network is allowed, and `http` is refused to every
                // host.
                Reach::AllowedNetworks => Sentence::Scheme,
            };
            RefusedUrl { reason, sentence }
        })
    }

    /// Checks the parts of a URL that do not depend on the allowed networks: all but its host, and
    /// whether `http` is allowed.
    ///
    /// # Errors
    ///
    /// As [`CallerUrl::parse`].
    pub fn check_text(text: &str) -> Result<(), RefusedUrl> {
        split_or_refuse(text).map(|_| ())
    }

    /// The URL as it was written, with its query, which is often a secret.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL as the HTTP client gets it: with a path, and escaped where needed.
    #[must_use]
    pub fn wire_form(&self) -> &str {
        &self.wire_form
    }

    /// The URL with its query replaced, safe to show and log.
    #[must_use]
    pub fn redacted(&self) -> String {
        redacted(&self.text)
    }

    /// The host, if it is written as an address and needs no resolution.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }
}

/// The text of a URL with its query replaced. Works on any stored URL, even one that would
/// be refused now.
#[must_use]
pub fn redacted(text: &str) -> String {
    match text.split_once('?') {
        Some((before_query, _)) => format!("{before_query}?REDACTED"),
        None => text.to_owned(),
    }
}

impl fmt::Display for CallerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Debug for CallerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallerUrl").field(&self.redacted()).finish()
    }
}

fn check(
    text: &str,
    scheme_reach: Reach,
    host: &str,
    allowed: &AllowedNetworks,
) -> Result<CallerUrl, RefusedUrlReason> {
    if scheme_reach == Reach::AllowedNetworks && allowed.is_empty() {
        return Err(RefusedUrlReason::Scheme);
    }
    let read_by_client = Url::parse(text).map_err(|_| RefusedUrlReason::Ambiguous)?;
    let address = match read_by_client.host() {
        Some(Host::Ipv4(v4)) if host == v4.to_string() => Some(IpAddr::V4(v4)),
        Some(Host::Ipv4(_)) => return Err(RefusedUrlReason::DisguisedAddress),
        Some(Host::Ipv6(v6)) if bracketed_ipv6(host) == Some(v6) => Some(IpAddr::V6(v6)),
        Some(Host::Domain(name)) if host.eq_ignore_ascii_case(name) => None,
        _ => return Err(RefusedUrlReason::Ambiguous),
    };
    let reach = match address {
        Some(address) => {
            scheme_reach.check(address, allowed)?;
            scheme_reach
        }
        None => match (host_name::check(host)?, scheme_reach) {
            (None, reach) => reach,
            (Some(private), _) if allowed.is_empty() => return Err(private),
            (Some(_), _) => Reach::AllowedNetworks,
        },
    };
    Ok(CallerUrl {
        text: text.to_owned(),
        wire_form: read_by_client.into(),
        address,
        reach,
    })
}

fn split_or_refuse(text: &str) -> Result<(Reach, &str), RefusedUrl> {
    split(text).map_err(|(reason, sentence)| RefusedUrl { reason, sentence })
}

/// Splits a URL that needs no repair into what its scheme may reach and its host, brackets
/// included.
fn split(text: &str) -> Result<(Reach, &str), (RefusedUrlReason, Sentence)> {
    if text.chars().nth(CALLER_URL_CHARS_MAX).is_some() {
        return Err((RefusedUrlReason::TooLong, Sentence::TooLong));
    }
    if !text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    {
        return Err((RefusedUrlReason::Character, Sentence::Character));
    }
    if text.contains('#') {
        return Err((RefusedUrlReason::Fragment, Sentence::Fragment));
    }
    let scheme_error = (RefusedUrlReason::Scheme, Sentence::Scheme);
    let (scheme, rest) = text.split_once(':').ok_or(scheme_error)?;
    let reach = match scheme.to_ascii_lowercase().as_str() {
        "https" => Reach::Public,
        "http" => Reach::AllowedNetworks,
        _ => return Err(scheme_error),
    };
    let rest = rest
        .strip_prefix("//")
        .filter(|rest| !rest.starts_with('/'))
        .ok_or((RefusedUrlReason::Slashes, Sentence::Slashes))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    Ok((reach, host_of(&rest[..end])?))
}

/// The host in an authority, brackets included.
fn host_of(authority: &str) -> Result<&str, (RefusedUrlReason, Sentence)> {
    if authority.contains('@') {
        return Err((RefusedUrlReason::UserInfo, Sentence::UserInfo));
    }
    // Colons inside the brackets belong to the address.
    let end_of_literal = authority.find(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[end_of_literal..].find(':') else {
        return Ok(authority);
    };
    let (host, port) = authority.split_at(end_of_literal + colon);
    let port = &port[1..];
    if port.contains(':') {
        // Often an IPv6 address without its brackets.
        return Err((RefusedUrlReason::HostName, Sentence::Host));
    }
    match port.parse::<u16>() {
        Ok(number) if number != 0 && port == number.to_string() => Ok(host),
        _ => Err((RefusedUrlReason::Port, Sentence::Port)),
    }
}

/// Reads `[…]`. Refuses a zone id.
fn bracketed_ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests;
