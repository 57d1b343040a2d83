//! Settings: environment variables, read once at start.
//!
//! An invalid setting stops the process immediately, with one line that names the setting. The line
//! does not show the value, which may be secret.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;

use crate::domain::callback::SignatureVersion;
use crate::domain::network::{AllowedNetworks, InvalidNetwork};

/// The environment as it was at start.
#[derive(Clone, Default)]
pub struct Environment(HashMap<String, String>);

/// Names only: values may be secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} {problem}")]
pub struct SettingError {
    name: &'static str,
    problem: String,
}

impl SettingError {
    /// `problem` follows the setting's name in the message. It must not contain the value.
    #[must_use]
    pub fn new(name: &'static str, problem: impl Into<String>) -> Self {
        Self {
            name,
            problem: problem.into(),
        }
    }
}

impl Environment {
    /// The process's environment. A variable that is not Unicode counts as absent.
    #[must_use]
    pub fn from_process() -> Self {
        let decode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(decode).collect())
    }

    /// Adds settings, and replaces those of the same names.
    #[must_use]
    pub fn with<'a>(mut self, settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let settings = settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.0.extend(settings);
        self
    }

    /// A setting that may be absent. An empty one counts as absent.
    #[must_use]
    pub fn optional(&self, name: &'static str) -> Option<&str> {
        self.0
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// A setting that must be present.
    ///
    /// # Errors
    ///
    /// When it is absent.
    pub fn required(&self, name: &'static str) -> Result<&str, SettingError> {
        self.optional(name)
            .ok_or_else(|| SettingError::new(name, "is not set"))
    }

    /// A whole number within bounds, or its default.
    ///
    /// # Errors
    ///
    /// When it is not a whole number, or out of bounds.
    pub fn number(
        &self,
        name: &'static str,
        bounds: RangeInclusive<u32>,
        default: u32,
    ) -> Result<u32, SettingError> {
        let Some(text) = self.optional(name) else {
            return Ok(default);
        };
        text.parse()
            .ok()
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| {
                let problem = format!(
                    "must be a whole number from {} to {}",
                    bounds.start(),
                    bounds.end()
                );
                SettingError::new(name, problem)
            })
    }

    /// The networks besides the public ones that requests to callers' URLs may reach, from the
    /// setting `name`.
    ///
    /// # Errors
    ///
    /// When an entry is not a network, or contains all addresses. Also, except with `LOCAL_BUNDLE`,
    /// when one contains loopback or link-local addresses: on Lambda the function's own runtime API
    /// listens on the former, and credentials are served on the latter.
    pub fn allowed_networks(&self, name: &'static str) -> Result<AllowedNetworks, SettingError> {
        let list = self.optional(name).unwrap_or_default();
        let networks: AllowedNetworks = list.parse().map_err(|invalid: InvalidNetwork| {
            let problem = format!(
                "must be a list of networks such as 10.20.0.0/16; entry {} is not one",
                invalid.position
            );
            SettingError::new(name, problem)
        })?;
        if let Some(position) = networks.position_of_all_addresses() {
            let problem = format!("must not allow every address; entry {position} does");
            return Err(SettingError::new(name, problem));
        }
        let is_local = self.switch("LOCAL_BUNDLE")?;
        if let Some(position) = networks
            .position_of_loopback_or_link_local()
            .filter(|_| !is_local)
        {
            let problem =
                format!("must not contain loopback or link-local addresses; entry {position} does");
            return Err(SettingError::new(name, problem));
        }
        Ok(networks)
    }

    /// `WEBHOOK_SIGNATURE_VERSIONS`: how callbacks are signed. Callers see the list, and get the
    /// first unless they choose. `v1` by default; never empty.
    ///
    /// # Errors
    ///
    /// When an entry is not a version.
    pub fn signature_versions(&self) -> Result<Vec<SignatureVersion>, SettingError> {
        const NAME: &str = "WEBHOOK_SIGNATURE_VERSIONS";
        let versions: Result<Vec<SignatureVersion>, _> = self
            .optional(NAME)
            .unwrap_or(SignatureVersion::V1.as_str())
            .split(',')
            .map(|version| version.trim().parse())
            .collect();
        versions.map_err(|_| SettingError::new(NAME, "must be v1, v1a, or both with a comma"))
    }

    /// A switch: `1` or `0`; off by default.
    ///
    /// # Errors
    ///
    /// When it has any other value.
    pub fn switch(&self, name: &'static str) -> Result<bool, SettingError> {
        match self.optional(name) {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(_) => Err(SettingError::new(name, "must be 0 or 1")),
        }
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(
            variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_setting_and_not_its_value() {
        let environment =
            Environment::from_iter([("LEASE_SECONDS", "s3cret"), ("DEMO_FUNCTIONS", "yes")]);
        let lease = environment
            .number("LEASE_SECONDS", 5..=900, 60)
            .unwrap_err()
            .to_string();
        assert_eq!(lease, "LEASE_SECONDS must be a whole number from 5 to 900");
        assert_eq!(
            environment
                .switch("DEMO_FUNCTIONS")
                .unwrap_err()
                .to_string(),
            "DEMO_FUNCTIONS must be 0 or 1"
        );
        assert_eq!(
            environment.required("TABLE_NAME").unwrap_err().to_string(),
            "TABLE_NAME is not set"
        );
        assert!(!format!("{environment:?}").contains("s3cret"));
    }

    #[test]
    fn requests_may_reach_the_host_itself_only_in_the_local_bundle() {
        let refusal = |local, list| {
            let settings = [("CALLBACK_ALLOWED_NETWORKS", list), ("LOCAL_BUNDLE", local)];
            let networks =
                Environment::from_iter(settings).allowed_networks("CALLBACK_ALLOWED_NETWORKS");
            networks.err().map(|error| error.to_string())
        };
        let own = "CALLBACK_ALLOWED_NETWORKS must not contain loopback or link-local addresses; \
                   entry 2 does";
        let all = "CALLBACK_ALLOWED_NETWORKS must not allow every address; entry 2 does";
        for (list, elsewhere, locally) in [
            ("", None, None),
            ("10.20.0.0/16 fd12::/16", None, None),
            ("10.20.0.0/16 127.0.0.0/8", Some(own), None),
            ("10.20.0.0/16 ::ffff:127.0.0.1/128", Some(own), None),
            ("192.0.0.0/2 0.0.0.0/1", Some(own), None),
            ("10.20.0.0/16 0.0.0.0/0", Some(all), Some(all)),
            ("10.20.0.0/16 ::/0", Some(all), Some(all)),
        ] {
            for local in ["", "0"] {
                assert_eq!(refusal(local, list).as_deref(), elsewhere, "{list}");
            }
            assert_eq!(refusal("1", list).as_deref(), locally, "{list}");
        }
    }

    #[test]
    fn an_empty_setting_counts_as_absent() {
        let environment = Environment::from_iter([("LEASE_SECONDS", " ")]);
        assert_eq!(environment.number("LEASE_SECONDS", 5..=900, 60), Ok(60));
    }
}
