//! The authorizer of the local gateway. It believes the name that a request gives, so the gateway
//! must never be reachable from another machine.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

/// The owner of a request without `Authorization`.
const ANONYMOUS: &str = "anonymous";

/// The owner of a request, from `Authorization: Bearer NAME`. `None` refuses the request, as AWS
/// refuses one without a valid token: the header is malformed, or it is absent and `require_token`
/// is set.
pub(super) fn owner(headers: &HeaderMap, require_token: bool) -> Option<String> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return (!require_token).then(|| ANONYMOUS.to_owned());
    };
    if values.next().is_some() {
        return None;
    }
    let (scheme, name) = value.to_str().ok()?.split_once(' ')?;
    let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && named).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_name_is_the_owner_and_a_malformed_header_is_refused() {
        for (values, expected) in [
            (&[][..], Some("anonymous")),
            (&["Bearer alice"], Some("alice")),
            (&["bearer a:b/c"], Some("a:b/c")),
            (&[""], None),
            (&["Bearer"], None),
            (&["Bearer "], None),
            (&["Bearer two names"], None),
            (&["Bearer  alice"], None),
            (&["Basic YTpi"], None),
            (&["Bearer alice", "Bearer alice"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(owner(&headers, false).as_deref(), expected, "{values:?}");
            let named = expected.filter(|_| !values.is_empty());
            assert_eq!(owner(&headers, true).as_deref(), named, "{values:?}");
        }
    }
}
