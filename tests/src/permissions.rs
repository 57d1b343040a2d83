//! The permissions of each function's role in the template, checked against its requests: a request
//! that the role does not allow fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::Value;
use shared::config::Environment;

use crate::template::{Template, each};

/// A function such as `Submit`, an action such as `dynamodb:PutItem`, and a resource such as
/// `Table` or `Table/by_owner`.
pub type Permission = (&'static str, String, String);

/// The functions, by the prefix of their resources in the template.
pub const FUNCTIONS: [&str; 4] = ["Submit", "Status", "Worker", "Callback"];

/// The settings that name a resource, with its name in the template.
const RESOURCES: [(&str, &str); 6] = [
    ("TABLE_NAME", "Table"),
    ("DISPATCH_QUEUE_URL", "DispatchQueue"),
    ("DISPATCH_DEAD_LETTER_QUEUE_URL", "DispatchDeadLetterQueue"),
    ("CALLBACK_QUEUE_URL", "CallbackQueue"),
    ("CALLBACK_DEAD_LETTER_QUEUE_URL", "CallbackDeadLetterQueue"),
    ("WEBHOOK_SECRETS_ARN", "WebhookSecret"),
];

/// Lambda's own actions under a function's role: it writes logs, and receives messages for it (AWS
/// Lambda Developer Guide, "Creating and configuring an Amazon SQS event source mapping").
const LOGS: [&str; 2] = ["logs:CreateLogStream", "logs:PutLogEvents"];
const FEEDS: [&str; 3] = [
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
];

static GRANTED: LazyLock<BTreeSet<Permission>> = LazyLock::new(granted_to_all);

/// The permissions that the functions of a world use. Clones share them.
#[derive(Debug, Clone)]
pub struct Permissions {
    /// The names of resources in the template, by their names in requests.
    resources: Arc<BTreeMap<String, &'static str>>,
    used: Arc<Mutex<BTreeSet<Permission>>>,
}

impl Permissions {
    /// For functions with these settings.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        let resources = RESOURCES.into_iter().filter_map(|(setting, resource)| {
            let name = environment.optional(setting)?;
            Some((name.to_owned(), resource))
        });
        Self {
            resources: Arc::new(resources.collect()),
            used: Arc::default(),
        }
    }

    /// A connector for a function. It panics at a request that the function's role does not allow.
    #[must_use]
    pub fn of(&self, function: &'static str, inner: SharedHttpConnector) -> SharedHttpConnector {
        SharedHttpConnector::new(Role {
            function,
            inner,
            permissions: self.clone(),
        })
    }

    /// The permissions used so far.
    #[must_use]
    pub fn used(&self) -> BTreeSet<Permission> {
        self.used.lock().unwrap().clone()
    }

    fn resource(&self, name: &str) -> String {
        let resource = self.resources.get(name);
        (*resource.unwrap_or_else(|| panic!("no setting names {name}"))).to_owned()
    }
}

/// The permissions that the template's roles grant for the functions' own code.
#[must_use]
pub fn granted() -> BTreeSet<Permission> {
    granted_except(|is_fed, action| LOGS.contains(&action) || is_fed && FEEDS.contains(&action))
}

/// Everything that the roles grant, since a function may use what they grant for Lambda.
fn granted_to_all() -> BTreeSet<Permission> {
    granted_except(|_, action| LOGS.contains(&action))
}

/// `is_for_another` gets whether a queue feeds the function, and an action.
fn granted_except(is_for_another: impl Fn(bool, &str) -> bool) -> BTreeSet<Permission> {
    let template = Template::read();
    let mut granted = BTreeSet::new();
    for function in FUNCTIONS {
        let is_fed = !template
            .events(&format!("{function}Function"), "SQS")
            .is_empty();
        let policies = &template.resource(&format!("{function}Role"))["Policies"];
        for policy in each(policies) {
            // Statements that a parameter turns on are about services behind the calls or about
            // targets, and those for network interfaces are denied to the functions' own code.
            let statements = each(&policy["PolicyDocument"]["Statement"]).iter();
            let is_for_code = |statement: &&Value| {
                let without_function = &statement["Condition"]["Null"]["lambda:SourceFunctionArn"];
                statement.get("Fn::If").is_none() && *without_function != "true"
            };
            for statement in statements.filter(is_for_code) {
                let actions = each(&statement["Action"])
                    .iter()
                    .map(|action| action.as_str().unwrap());
                for action in actions.filter(|action| !is_for_another(is_fed, action)) {
                    for resource in each(&statement["Resource"]) {
                        granted.insert((function, action.to_owned(), named(resource)));
                    }
                }
            }
        }
    }
    granted
}

/// The name of a policy's resource.
fn named(resource: &Value) -> String {
    if let Some(arn) = resource["Fn::GetAtt"].as_str() {
        return arn.strip_suffix(".Arn").unwrap().to_owned();
    }
    if resource["Fn::Sub"] == "${Table.Arn}/index/by_owner" {
        return "Table/by_owner".to_owned();
    }
    let reference = resource["Ref"].as_str();
    reference.unwrap_or_else(|| panic!("{resource}")).to_owned()
}

#[derive(Debug)]
struct Role {
    function: &'static str,
    inner: SharedHttpConnector,
    permissions: Permissions,
}

impl Role {
    /// The permissions that a request needs (Service Authorization Reference: an index is a
    /// separate resource; SQS' batch calls need the permission of the single ones).
    fn needed(&self, request: &HttpRequest) -> Vec<Permission> {
        let target = request.headers().get("x-amz-target").unwrap();
        let (service, call) = target.split_once('.').unwrap();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let text = |name: &str| body[name].as_str();
        let (service, resources) = match service.split('_').next().unwrap() {
            "DynamoDB" => ("dynamodb", self.tables(&body)),
            "AmazonSQS" => (
                "sqs",
                vec![self.permissions.resource(text("QueueUrl").unwrap())],
            ),
            "secretsmanager" => {
                let secret = text("SecretId").unwrap();
                ("secretsmanager", vec![self.permissions.resource(secret)])
            }
            other => panic!("{other} is not a known service"),
        };
        let call = call.strip_suffix("Batch").unwrap_or(call);
        resources
            .into_iter()
            .map(|resource| (self.function, format!("{service}:{call}"), resource))
            .collect()
    }

    fn tables(&self, body: &Value) -> Vec<String> {
        let table = |name: &str| self.permissions.resource(name);
        if let Some(several) = body["RequestItems"].as_object() {
            return several.keys().map(|name| table(name)).collect();
        }
        let table = table(body["TableName"].as_str().unwrap());
        vec![match body["IndexName"].as_str() {
            Some(index) => format!("{table}/{index}"),
            None => table,
        }]
    }
}

impl HttpConnector for Role {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        for permission in self.needed(&request) {
            assert!(GRANTED.contains(&permission), "not allowed: {permission:?}");
            self.permissions.used.lock().unwrap().insert(permission);
        }
        self.inner.call(request)
    }
}
