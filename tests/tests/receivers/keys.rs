//! The keys to sign and verify with. They are public, so they are for tests only.

/// Two secrets in the middle of a rotation.
pub(crate) const OLD_SECRET: &str = "whsec_dGhlIHNlY3JldCB0aGF0IGlzIGJlaW5nIHJlcGxhY2Vk";
pub(crate) const NEW_SECRET: &str = "whsec_dGhlIHNlY3JldCB0aGF0IHJlcGxhY2VzIHRoZSBvdGhlcg==";

/// RFC 8032, 7.1, test 2: the seed with its public key, and the public key.
pub(crate) const SIGNING_KEY: &str =
    "whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs9QBfD6EOJWpK3CqdNG368nJgszy7ElozAzVXxKvRmDA==";
pub(crate) const PUBLIC_KEY: &str = "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";

/// No callback is signed with these. The public key is that of test 1.
pub(crate) const STRANGERS_SECRET: &str = "whsec_YSBzZWNyZXQgdGhhdCBub2JvZHkgZWxzZSBldmVyIGhhZA==";
pub(crate) const STRANGERS_PUBLIC_KEY: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
