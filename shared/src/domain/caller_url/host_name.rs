//! Host names: their form, and the names that are not public.

use super::RefusedUrlReason;

/// RFC 1035, 2.3.4: a name, without the dot that may end it.
const MAX_NAME_BYTES: usize = 253;

/// RFC 1035, 2.3.4.
const MAX_LABEL_BYTES: usize = 63;

/// Domains, with all names under them, that the public DNS does not serve or where no receiver of
/// callbacks can be.
///
/// From the IANA registry of special-use domain names (RFC 6761 and later), except those under
/// `.arpa`; names that ICANN has reserved for private use or will not delegate; and the names that
/// RFC 6762, appendix G, found in use on private networks. `example.com` and its siblings are in
/// the registry too, but are ordinary public hosts.
const SPECIAL_USE_DOMAINS: [&str; 16] = [
    "alt",         // RFC 9476
    "arpa",        // RFC 3172: infrastructure, with `home.arpa` (RFC 8375)
    "corp",        // ICANN resolution 2018.02.04.12
    "example",     // RFC 6761
    "home",        // ICANN resolution 2018.02.04.12
    "internal",    // ICANN resolution 2024.07.29.06
    "intranet",    // RFC 6762, appendix G
    "invalid",     // RFC 6761
    "lan",         // RFC 6762, appendix G
    "local",       // RFC 6762
    "localdomain", // what resolvers' defaults append to `localhost`
    "localhost",   // RFC 6761
    "mail",        // ICANN resolution 2018.02.04.12
    "onion",       // RFC 7686
    "private",     // RFC 6762, appendix G
    "test",        // RFC 6761
];

/// Names, with all names under them, of the services that serve credentials to the machine itself.
/// Most are special-use names anyway; they are listed because no setting allows these.
const CLOUD_SERVICE_NAMES: [&str; 10] = [
    "instance-data",
    "instance-data.ec2.internal",
    "metadata",
    "metadata.azure.com",
    "metadata.azure.internal",
    "metadata.goog",
    "metadata.google.internal",
    "metadata.packet.net",
    "metadata.platformequinix.com",
    "metadata.tencentyun.com",
];

/// Checks a host name. `Ok(Some(_))` is a well-formed name that has a meaning in a private network
/// only, with the reason.
pub(super) fn check(host: &str) -> Result<Option<RefusedUrlReason>, RefusedUrlReason> {
    let name = host.to_ascii_lowercase();
    // The root's dot makes a name absolute. The name stays the same.
    let name = name.strip_suffix('.').unwrap_or(&name);
    if name.len() > MAX_NAME_BYTES || !name.split('.').all(is_label) {
        return Err(RefusedUrlReason::HostName);
    }
    if is_within(name, &CLOUD_SERVICE_NAMES) {
        return Err(RefusedUrlReason::CloudServiceName);
    }
    Ok(if is_within(name, &SPECIAL_USE_DOMAINS) {
        Some(RefusedUrlReason::SpecialUseName)
    } else if !name.contains('.') {
        Some(RefusedUrlReason::SingleLabelName)
    } else {
        None
    })
}

/// Letters, digits and hyphens, a hyphen neither first nor last (RFC 5890, 2.3.1).
fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_within(name: &str, domains: &[&str]) -> bool {
    domains.iter().any(|domain| {
        name.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}
