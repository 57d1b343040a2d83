//! The settings of this function that need parsing.

use rustls::RootCertStore;
use shared::certificates::add_certificates;
use shared::config::{Environment, SettingError};
use shared::domain::delivery::CallbackSchedule;
use shared::domain::limits::{
    CALLBACK_RETRIES_MAX, CALLBACK_RETRY_AFTER_SECS_MAX, CALLBACK_RETRY_SECS,
};
use shared::outbound::mozilla_roots;

/// The certificate authorities that may have issued a receiver's certificate: those that Mozilla
/// trusts, and those in `CALLBACK_ROOT_CERTIFICATES`, for receivers in the operator's own networks.
pub(crate) fn roots(environment: &Environment) -> Result<RootCertStore, SettingError> {
    const NAME: &str = "CALLBACK_ROOT_CERTIFICATES";
    let mut roots = mozilla_roots();
    let Some(pem) = environment.optional(NAME) else {
        return Ok(roots);
    };
    add_certificates(&mut roots, pem.as_bytes())
        .map_err(|problem| SettingError::new(NAME, problem.to_string()))?;
    Ok(roots)
}

/// `CALLBACK_RETRY_SECONDS`: the waits between the attempts, separated by commas.
pub(crate) fn schedule(environment: &Environment) -> Result<CallbackSchedule, SettingError> {
    const NAME: &str = "CALLBACK_RETRY_SECONDS";
    let Some(list) = environment.optional(NAME) else {
        return Ok(CallbackSchedule::new(CALLBACK_RETRY_SECS.to_vec()));
    };
    let waits: Option<Vec<u32>> = list
        .split(',')
        .map(|wait| {
            wait.trim()
                .parse()
                .ok()
                .filter(|wait| *wait <= CALLBACK_RETRY_AFTER_SECS_MAX)
        })
        .collect();
    match waits {
        Some(waits) if waits.len() <= CALLBACK_RETRIES_MAX as usize => {
            Ok(CallbackSchedule::new(waits))
        }
        _ => {
            let problem = format!(
                "must be at most {CALLBACK_RETRIES_MAX} whole numbers \
                 up to {CALLBACK_RETRY_AFTER_SECS_MAX}, separated by commas"
            );
            Err(SettingError::new(NAME, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn environment(name: &str, value: &str) -> Environment {
        Environment::from_iter([(name, value)])
    }

    #[test]
    fn certificate_authorities_are_added_to_those_of_mozilla() {
        let key = KeyPair::generate().unwrap();
        let certificate = |name: &str| {
            let params = CertificateParams::new([name.to_owned()]).unwrap();
            params.self_signed(&key).unwrap().pem()
        };
        let default_roots = roots(&Environment::default()).unwrap().len();
        assert!(default_roots > 50);
        let both = format!("ours:\n{}\n{}", certificate("one"), certificate("two"));
        let with = roots(&environment("CALLBACK_ROOT_CERTIFICATES", &both)).unwrap();
        assert_eq!(with.len(), default_roots + 2);

        let cut = &certificate("one")[..200];
        let in_one_line = certificate("one").replace('\n', " ");
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for bad in ["?", cut, &in_one_line, empty, &key.serialize_pem()] {
            let error = roots(&environment("CALLBACK_ROOT_CERTIFICATES", bad)).unwrap_err();
            let expected = "CALLBACK_ROOT_CERTIFICATES must be certificates in PEM";
            assert_eq!(error.to_string(), expected, "{bad}");
        }
    }

    #[test]
    fn a_schedule_is_a_short_list_of_seconds() {
        let attempts =
            |list| schedule(&environment("CALLBACK_RETRY_SECONDS", list)).map(|s| s.attempts());
        assert_eq!(
            schedule(&Environment::default()).map(|s| s.attempts()),
            Ok(6)
        );
        assert_eq!(attempts("1"), Ok(2));
        assert_eq!(attempts("0, 5,3600"), Ok(4));
        assert_eq!(attempts("1,1,1,1,1,1,1,1,1,1"), Ok(11));
        for bad in [
            "1,1,1,1,1,1,1,1,1,1,1",
            "3601",
            "1,,2",
            "-1",
            "1.5",
            "soon",
            ",",
        ] {
            let error = attempts(bad).unwrap_err().to_string();
            assert!(
                error.starts_with("CALLBACK_RETRY_SECONDS must be at most 10 whole numbers"),
                "{bad}"
            );
        }
    }
}
