//! The event of API Gateway (AWS, "Lambda proxy integrations for HTTP APIs", payload format 2.0).
//!
//! Reads only what is needed, and checks no header: the public crates' event types refuse a whole
//! event for one header that is not ASCII, which would turn a caller's mistake into a 500.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::content::{is_identity, is_json};
use super::etag::preconditions;
use super::prefer::{Wait, prefer_wait};
use super::problem::Problem;
use crate::config::{Environment, SettingError};
use crate::domain::id::OperationId;
use crate::domain::limits::{WAIT_SECS_MAX, WAIT_SECS_MAX_DEFAULT};
use crate::domain::operation::Owner;
use crate::domain::precondition::Preconditions;
use crate::request::ErrorCode;

/// The settings by which a function reads requests.
#[derive(Debug, Clone)]
pub struct RequestSettings {
    public_url: Option<String>,
    owner_claim: String,
    wait_secs_max: u32,
    takes_local_owners: bool,
}

impl RequestSettings {
    /// From `PUBLIC_URL` (where callers reach the API, when that is not the request's own domain
    /// and stage), `OWNER_CLAIM` (the JWT claim that names the owner, `sub` when left out),
    /// `WAIT_SECONDS_MAX`, and `LOCAL_BUNDLE` (whether the local gateway names owners).
    ///
    /// # Errors
    ///
    /// When one of the last two is malformed.
    pub fn new(environment: &Environment) -> Result<Self, SettingError> {
        let public_url = environment
            .optional("PUBLIC_URL")
            .map(|url| url.trim_end_matches('/').to_owned());
        let owner_claim = environment
            .optional("OWNER_CLAIM")
            .unwrap_or("sub")
            .to_owned();
        Ok(Self {
            public_url,
            owner_claim,
            wait_secs_max: environment.number(
                "WAIT_SECONDS_MAX",
                0..=WAIT_SECS_MAX,
                WAIT_SECS_MAX_DEFAULT,
            )?,
            takes_local_owners: environment.switch("LOCAL_BUNDLE")?,
        })
    }

    /// The longest wait of a request for an operation's end.
    #[must_use]
    pub fn wait_max(&self) -> Duration {
        Duration::from_secs(u64::from(self.wait_secs_max))
    }
}

#[derive(Debug, Clone)]
pub struct Request {
    /// The gateway's id of the request.
    pub id: String,
    /// In upper case.
    pub method: String,
    /// The path of the route, such as `/operations/{id}`.
    pub route: String,
    /// The query string, undecoded, without its question mark.
    pub query: String,
    /// Where callers reach the API, without a slash at the end.
    pub base_url: String,
    headers: HashMap<String, String>,
    path_parameters: HashMap<String, String>,
    owner: Option<Owner>,
    wait_secs_max: u32,
    body: Result<Vec<u8>, base64::DecodeError>,
}

/// An HTTP API's event.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayEvent {
    route_key: String,
    #[serde(default)]
    raw_path: String,
    /// Absent, empty or null without a query string: it depends on the gateway.
    #[serde(default)]
    raw_query_string: Option<String>,
    #[serde(default)]
    headers: HashMap<String, String>,
    #[serde(default)]
    path_parameters: HashMap<String, String>,
    request_context: Context,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    #[serde(default)]
    authorizer: Option<Authorizer>,
    #[serde(default)]
    domain_name: String,
    #[serde(default)]
    stage: String,
    #[serde(default)]
    request_id: String,
    http: Http,
}

#[derive(Debug, Deserialize)]
struct Http {
    method: String,
}

/// The caller, as the gateway's authorizer names them. The members depend on the authorizer's kind.
#[derive(Debug, Deserialize)]
struct Authorizer {
    #[serde(default)]
    jwt: Option<Jwt>,
    #[serde(default)]
    iam: Option<Iam>,
    #[serde(default)]
    lambda: Option<HashMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Jwt {
    #[serde(default)]
    claims: HashMap<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Iam {
    #[serde(default)]
    account_id: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
    /// Null unless the credentials come from a Cognito identity pool.
    #[serde(default)]
    cognito_identity: Option<Value>,
}

impl Iam {
    /// The form of `userId` depends on the principal (AWS Identity and Access Management User
    /// Guide, "IAM policy elements: Variables and tags", the value of `aws:userid`).
    fn owner(&self) -> Option<Owner> {
        if let Some(identity) = &self.cognito_identity {
            // One role serves every user of a pool. Without a user there is no owner: all users
            // share the role.
            return Owner::new("cognito", identity.get("identityId")?.as_str()?);
        }
        let account_id = self.account_id.as_deref().filter(|id| !id.is_empty())?;
        let user_id = self.user_id.as_deref().filter(|id| !id.is_empty())?;
        let unique_id = match user_id.split_once(':') {
            Some(("", _) | (_, "")) => return None,
            // `ACCOUNT:NAME` of a federated user, who has no unique id. The account stays, since a
            // name may read like a unique id.
            Some((account, _)) if is_account_id(account) => user_id,
            // `ROLE_ID:SESSION`: one role is one owner whatever its session.
            Some((role_id, _)) => role_id,
            // A user's unique id, or the account's for its root user.
            None => user_id,
        };
        Owner::new("iam", &format!("{account_id}:{unique_id}"))
    }
}

/// Unique ids begin with letters (IAM User Guide, "Understanding unique ID prefixes"), and account
/// ids have digits only.
fn is_account_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Authorizer {
    fn owner(&self, settings: &RequestSettings) -> Option<Owner> {
        if let Some(jwt) = &self.jwt {
            let claim = jwt.claims.get(&settings.owner_claim)?.as_str()?;
            // API Gateway passes an array as text, `[a b]`, which is the same for an array of two
            // members and for one of a member with a space.
            let was_array = claim.starts_with('[') && claim.ends_with(']');
            return if was_array {
                None
            } else {
                Owner::new("jwt", claim)
            };
        }
        if let Some(iam) = &self.iam {
            return iam.owner();
        }
        let context = self.lambda.as_ref()?;
        // Only the local gateway sets it. An authorizer function on AWS may have a member of this
        // name too, even one that it copies from a caller's token.
        let local_owner = context.get("local_owner");
        if let Some(name) = local_owner.filter(|_| settings.takes_local_owners) {
            return Owner::new("local", name.as_str()?);
        }
        Owner::new("lambda", context.get("owner")?.as_str()?)
    }
}

impl Request {
    /// Reads an event.
    #[must_use]
    pub fn new(event: GatewayEvent, settings: &RequestSettings) -> Self {
        let context = event.request_context;
        let base_url =
            settings
                .public_url
                .clone()
                .unwrap_or_else(|| match context.stage.as_str() {
                    "" | "$default" => format!("https://{}", context.domain_name),
                    stage => format!("https://{}/{stage}", context.domain_name),
                });
        let body = match event.body {
            None => Ok(Vec::new()),
            Some(body) if event.is_base64_encoded => STANDARD.decode(body),
            Some(body) => Ok(body.into_bytes()),
        };
        let route = match event.route_key.split_once(' ') {
            Some((_, path)) => path.to_owned(),
            None => matched_path(&event.raw_path, &event.path_parameters),
        };
        Self {
            id: context.request_id,
            method: context.http.method,
            route,
            query: event.raw_query_string.unwrap_or_default(),
            base_url,
            headers: event
                .headers
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
            path_parameters: event.path_parameters,
            owner: context
                .authorizer
                .and_then(|authorizer| authorizer.owner(settings)),
            wait_secs_max: settings.wait_secs_max,
            body,
        }
    }

    /// A header's value; `name` is in lower case. The gateway joins several of one name with
    /// commas.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.trim())
    }

    /// How long the response waits for the operation's end, when the caller prefers that it waits.
    #[must_use]
    pub fn wait(&self) -> Option<Wait> {
        let header = self.header("prefer")?;
        prefer_wait(header, self.wait_secs_max)
    }

    /// The preconditions of a request that writes.
    #[must_use]
    pub fn preconditions(&self) -> Preconditions {
        preconditions(self.header("if-match"), self.header("if-none-match"))
    }

    /// The caller.
    ///
    /// # Errors
    ///
    /// When the authorizer names none.
    pub fn owner(&self) -> Result<&Owner, Problem> {
        let detail = "the authorizer identified no caller";
        let unauthorized = || Problem::new(ErrorCode::Unauthorized, detail);
        self.owner.as_ref().ok_or_else(unauthorized)
    }

    /// The operation that the path names. A malformed id gets the response of an unknown one, and
    /// costs no read.
    ///
    /// # Errors
    ///
    /// When it is malformed.
    pub fn operation_id(&self) -> Result<OperationId, Problem> {
        let id = self
            .path_parameters
            .get("id")
            .and_then(|id| id.parse().ok());
        id.ok_or_else(Problem::no_such_operation)
    }

    /// The body of a request that must have one of JSON, not parsed yet.
    ///
    /// # Errors
    ///
    /// When it is too large, has a content coding, or has another type.
    pub fn json_body(&self, bytes_max: usize) -> Result<&[u8], Problem> {
        if !self.header("content-encoding").is_none_or(is_identity) {
            return Err(Problem::unsupported_type(
                "the body must not have a content-encoding",
            ));
        }
        if !self.header("content-type").is_none_or(is_json) {
            return Err(Problem::unsupported_type(
                "the body must be application/json, in UTF-8 or US-ASCII",
            ));
        }
        match &self.body {
            Ok(body) if body.len() > bytes_max => Err(Problem::too_large(bytes_max)),
            Ok(body) => Ok(body),
            Err(_) => Err(Problem::new(
                ErrorCode::ParseError,
                "the body is not valid base64",
            )),
        }
    }
}

/// The path of a route whose key does not have it: the raw path, with its parameter's name in the
/// place of the value. `cargo lambda watch` needs this: its router passes the parameters but not
/// the route, and names every route `$default`. Behind API Gateway every route of Ferry's has a
/// key, and the raw path, which differs behind a stage or a mapping, is ignored.
fn matched_path(raw_path: &str, parameters: &HashMap<String, String>) -> String {
    let mut segments: Vec<_> = raw_path.split('/').collect();
    // Each route has one parameter at most, which is the second segment.
    if let (Some(segment), true) = (segments.get_mut(2), parameters.contains_key("id")) {
        *segment = "{id}";
    }
    segments.join("/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(patch: Value) -> Request {
        request_with([], patch)
    }

    fn request_with<const N: usize>(settings: [(&str, &str); N], patch: Value) -> Request {
        let mut event = json!({
            "routeKey": "GET /operations/{id}",
            "headers": {},
            "requestContext": {
                "domainName": "api.example.com", "stage": "$default", "requestId": "r",
                "http": {"method": "GET"},
            },
        });
        merge(&mut event, patch);
        Request::new(
            serde_json::from_value(event).unwrap(),
            &RequestSettings::new(&Environment::from_iter(settings)).unwrap(),
        )
    }

    fn merge(into: &mut Value, patch: Value) {
        match (into, patch) {
            (Value::Object(into), Value::Object(patch)) => {
                for (name, value) in patch {
                    merge(into.entry(name).or_insert(Value::Null), value);
                }
            }
            (into, patch) => *into = patch,
        }
    }

    fn owner(authorizer: &Value) -> Option<String> {
        owner_with([], authorizer)
    }

    fn owner_with<const N: usize>(
        settings: [(&str, &str); N],
        authorizer: &Value,
    ) -> Option<String> {
        let patch = json!({"requestContext": {"authorizer": authorizer}});
        let request = request_with(settings, patch);
        let owner = request.owner().ok()?;
        // The operator tool takes an owner in this spelling.
        assert_eq!(owner.as_str().parse().as_ref(), Ok(owner));
        Some(owner.as_str().to_owned())
    }

    #[test]
    fn the_owner_is_the_authorizers_caller_with_its_kind() {
        assert_eq!(
            owner(&json!({"jwt": {"claims": {"sub": "alice"}}})).as_deref(),
            Some("jwt:alice")
        );
        assert_eq!(
            owner(&json!({"iam": {"accountId": "123456789012", "userId": "AROAEXAMPLE:session"}}))
                .as_deref(),
            Some("iam:123456789012:AROAEXAMPLE")
        );
        assert_eq!(
            owner(&json!({"lambda": {"owner": "alice"}})).as_deref(),
            Some("lambda:alice")
        );
    }

    #[test]
    fn only_the_local_bundle_takes_the_local_gateways_owners() {
        let local = json!({"lambda": {"local_owner": "alice"}});
        let both = json!({"lambda": {"local_owner": "alice", "owner": "bob"}});
        for settings in [[("LOCAL_BUNDLE", "")], [("LOCAL_BUNDLE", "0")]] {
            assert_eq!(owner_with(settings, &local), None);
            let owner = owner_with(settings, &both);
            assert_eq!(owner.as_deref(), Some("lambda:bob"));
        }
        for authorizer in [local, both] {
            let owner = owner_with([("LOCAL_BUNDLE", "1")], &authorizer);
            assert_eq!(owner.as_deref(), Some("local:alice"));
        }
    }

    #[test]
    fn distinct_iam_users_are_distinct_owners() {
        const ACCOUNT: &str = "123456789012";
        let iam = |user_id: &str, identity: Value| {
            let iam = json!({
                "accountId": ACCOUNT, "userId": user_id, "cognitoIdentity": identity,
            });
            owner(&json!({"iam": iam}))
        };
        let identity =
            |id: &str| json!({"amr": ["authenticated"], "identityId": id, "identityPoolId": "p"});
        let pool_role = "AROAEXAMPLE:CognitoIdentityCredentials";
        for (user_id, cognito, expected) in [
            (
                "AROAEXAMPLE:one",
                Value::Null,
                "iam:123456789012:AROAEXAMPLE",
            ),
            (
                "AROAEXAMPLE:two",
                Value::Null,
                "iam:123456789012:AROAEXAMPLE",
            ),
            (
                "AROAEXAMPLE:a:b",
                Value::Null,
                "iam:123456789012:AROAEXAMPLE",
            ),
            ("AIDAEXAMPLE", Value::Null, "iam:123456789012:AIDAEXAMPLE"),
            (ACCOUNT, Value::Null, "iam:123456789012:123456789012"),
            (
                "123456789012:alice",
                Value::Null,
                "iam:123456789012:123456789012:alice",
            ),
            (
                "123456789012:bob",
                Value::Null,
                "iam:123456789012:123456789012:bob",
            ),
            // A federated user's name can be any text.
            (
                "123456789012:AROAEXAMPLE",
                Value::Null,
                "iam:123456789012:123456789012:AROAEXAMPLE",
            ),
            (pool_role, identity("eu-west-1:a"), "cognito:eu-west-1:a"),
            (pool_role, identity("eu-west-1:b"), "cognito:eu-west-1:b"),
        ] {
            assert_eq!(
                iam(user_id, cognito).as_deref(),
                Some(expected),
                "{user_id}"
            );
        }
        for cognito in [
            json!({}),
            json!({"amr": ["unauthenticated"], "identityPoolId": "p"}),
            json!({"identityId": null}),
            json!({"identityId": 7}),
            identity(""),
            identity(&"x".repeat(257)),
            json!("eu-west-1:a"),
            json!([]),
            json!(false),
        ] {
            assert_eq!(iam(pool_role, cognito.clone()), None, "{cognito}");
        }
    }

    #[test]
    fn an_unusable_owner_is_none() {
        let long = "x".repeat(257);
        for authorizer in [
            Value::Null,
            json!({}),
            json!({"jwt": {"claims": {}}}),
            json!({"jwt": {"claims": {"sub": ""}}}),
            json!({"jwt": {"claims": {"sub": 7}}}),
            json!({"jwt": {"claims": {"sub": long}}}),
            json!({"jwt": {"claims": {"sub": "[alice bob]"}}}),
            json!({"jwt": {"claims": {"sub": "[alice]"}}}),
            json!({"jwt": {"claims": {"sub": "[]"}}}),
            json!({"iam": {"userId": "AROAEXAMPLE"}}),
            json!({"iam": {"accountId": "1", "userId": ":session"}}),
            json!({"iam": {"accountId": "1", "userId": "AROAEXAMPLE:"}}),
            json!({"iam": {"accountId": "1", "userId": "1:"}}),
            json!({"iam": {"accountId": "1", "userId": ""}}),
            json!({"iam": {"accountId": "1"}}),
            json!({"iam": {"accountId": "", "userId": "AIDAEXAMPLE"}}),
            json!({"lambda": {}}),
            json!({"lambda": {"owner": ["alice"]}}),
        ] {
            assert_eq!(owner(&authorizer), None, "{authorizer}");
        }
        for sub in [&*"x".repeat(256), "[alice", "alice]", "auth0|[alice]"] {
            assert!(owner(&json!({"jwt": {"claims": {"sub": sub}}})).is_some());
        }
    }

    #[test]
    fn the_base_url_is_the_domain_and_stage_unless_set() {
        assert_eq!(request(json!({})).base_url, "https://api.example.com");
        assert_eq!(
            request(json!({"requestContext": {"stage": "dev"}})).base_url,
            "https://api.example.com/dev"
        );
    }

    #[test]
    fn only_a_route_without_a_path_uses_the_raw_path() {
        for (route_key, raw_path, id, expected) in [
            (
                "ANY /operations/{id}",
                "/dev/operations/op_1",
                "op_1",
                "/operations/{id}",
            ),
            (
                "$default",
                "/operations/op_1/cancel",
                "op_1",
                "/operations/{id}/cancel",
            ),
            (
                "$default",
                "/operations/cancel/cancel",
                "cancel",
                "/operations/{id}/cancel",
            ),
            ("$default", "/health", "", "/health"),
        ] {
            let mut event =
                json!({"routeKey": route_key, "rawPath": raw_path, "rawQueryString": null});
            if !id.is_empty() {
                event["pathParameters"] = json!({"id": id});
            }
            assert_eq!(request(event).route, expected);
        }
    }

    #[test]
    fn a_header_that_is_not_ascii_does_not_refuse_the_request() {
        let request = request(json!({"headers": {"X-Name": "Zoë", "If-Match": " \"a\" "}}));
        assert_eq!(request.header("if-match"), Some("\"a\""));
    }

    #[test]
    fn only_uncoded_json_within_its_limit_is_read() {
        let latin1 =
            request(json!({"headers": {"content-type": "application/json; charset=latin1"}}));
        assert_eq!(latin1.json_body(10).unwrap_err().status(), 415);
        let coded = request(json!({"headers": {"content-encoding": "gzip"}, "body": "{}"}));
        assert_eq!(coded.json_body(10).unwrap_err().status(), 415);
        let long = request(json!({"body": "x".repeat(11)}));
        assert_eq!(long.json_body(10).unwrap_err().status(), 413);
        let binary = request(json!({"body": "e30=", "isBase64Encoded": true}));
        assert_eq!(binary.json_body(10), Ok(b"{}".as_slice()));
    }
}
