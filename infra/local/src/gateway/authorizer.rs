//! The authorizer before the local gateway. It believes what it is told, which is the one thing here that must never be
//! reachable from another machine.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

/// Who calls without saying a name.
const ANONYMOUS: &str = "anonymous";

/// The owner that a request names: `Authorization: Bearer NAME`, or nobody in particular. `None` when the header is there
/// and says neither, as a request without a valid token is refused on AWS; with `require_token`, also when it is not there.
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
    fn a_name_is_believed_and_anything_else_refused() {
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
