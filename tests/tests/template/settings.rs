//! The functions' settings: a function reads every variable that the template sets for it, no
//! required variable is missing, and the template's parameters have the code's bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use local::bundle::Services;
use serde_json::Value;
use shared::aws::{self, Aws};
use shared::clock::SystemClock;
use shared::config::Environment;
use shared::domain::limits::{
    CALLBACK_RETRY_SECS, CALLBACK_TIMEOUT_SECS_DEFAULT, CALLBACK_TIMEOUT_SECS_MAX,
    FORRST_WAIT_SECS_DEFAULT, LEASE_SECS_DEFAULT, LEASE_SECS_MAX, LEASE_SECS_MIN,
    MCP_WAIT_SECS_DEFAULT, WAIT_SECS_MAX, WAIT_SECS_MAX_DEFAULT, WORKER_TIMEOUT_SECS_DEFAULT,
    WORKER_TIMEOUT_SECS_MAX, WORKER_TIMEOUT_SECS_MIN,
};
use shared::metrics::MetricsConfig;
use shared::random::SystemRandom;
use tests::secrets_manager::SecretsManager;

use super::FUNCTION;
use tests::template::Template;

/// Variables that Lambda sets.
const LAMBDAS: [(&str, &str); 3] = [
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
];
/// Variables without which functions do not start.
const REQUIRED: [&str; 7] = [
    "ID_SALT",
    "TABLE_NAME",
    "DISPATCH_QUEUE_URL",
    "DISPATCH_DEAD_LETTER_QUEUE_URL",
    "CALLBACK_QUEUE_URL",
    "CALLBACK_DEAD_LETTER_QUEUE_URL",
    "WEBHOOK_SECRETS_ARN",
];
/// Optional variables that accept any value.
const FREE: [&str; 5] = [
    "CORS_ALLOWED_ORIGINS",
    "JWT_ISSUER",
    "JWT_SCOPES",
    "OWNER_CLAIM",
    "PUBLIC_URL",
];
const STACK_ID: &str = "arn:aws:cloudformation:eu-central-1:123456789012:stack/ferry/\
                        8dd0f5d0-9a4b-11f1-8a5e-0a1b2c3d4e5f";
/// From the tests of Standard Webhooks' own libraries.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

type Variables = BTreeMap<String, String>;

#[tokio::test]
async fn the_functions_start_with_the_templates_variables() {
    let template = Template::read();
    for (function, _) in template.resources(FUNCTION) {
        let given = variables(&template, function);
        assert_eq!(start(function, &given).await, Ok(()));
    }
}

#[tokio::test]
async fn a_function_reads_every_variable_that_the_template_sets() {
    let template = Template::read();
    for (function, _) in template.resources(FUNCTION) {
        let given = variables(&template, function);
        for name in given.keys().filter(|name| !FREE.contains(&name.as_str())) {
            let mut changed = given.clone();
            let problem = if REQUIRED.contains(&name.as_str()) {
                changed.remove(name);
                format!("{name} is not set")
            } else {
                changed.insert(name.clone(), "?".to_owned());
                format!("{name} must be")
            };
            let refused = start(function, &changed).await.unwrap_err();
            assert!(refused.starts_with(&problem), "{function}: {refused}");
        }
    }
}

/// With it, an authorizer's context could name any owner, and callbacks could reach the functions'
/// runtime.
#[tokio::test]
async fn the_template_does_not_set_local_bundle() {
    const VARIABLE: &str = "LOCAL_BUNDLE";
    let services = Services::start(Arc::new(SystemClock)).await.unwrap();
    let is_set = |(name, _): &(String, String)| name == VARIABLE;
    assert!(services.environment.iter().any(is_set));
    let template = Template::read();
    for section in ["Globals", "Resources"] {
        let text = template.section(section).values().map(Value::to_string);
        assert!(!text.collect::<String>().contains(VARIABLE), "{section}");
    }
}

#[test]
fn the_parameters_have_the_bounds_of_the_code() {
    let template = Template::read();
    for (name, min, default, max) in [
        (
            "LeaseSeconds",
            LEASE_SECS_MIN,
            LEASE_SECS_DEFAULT,
            LEASE_SECS_MAX,
        ),
        (
            "WorkerTimeoutSeconds",
            WORKER_TIMEOUT_SECS_MIN,
            WORKER_TIMEOUT_SECS_DEFAULT,
            WORKER_TIMEOUT_SECS_MAX,
        ),
        (
            "ForrstWaitSeconds",
            0,
            FORRST_WAIT_SECS_DEFAULT,
            WAIT_SECS_MAX,
        ),
        ("McpWaitSeconds", 0, MCP_WAIT_SECS_DEFAULT, WAIT_SECS_MAX),
        ("WaitSecondsMax", 0, WAIT_SECS_MAX_DEFAULT, WAIT_SECS_MAX),
        (
            "CallbackTimeoutSeconds",
            1,
            CALLBACK_TIMEOUT_SECS_DEFAULT,
            CALLBACK_TIMEOUT_SECS_MAX,
        ),
    ] {
        let parameter = template.parameter(name);
        let bounds = ["MinValue", "Default", "MaxValue"];
        let bounds = bounds.map(|bound| template.number(&parameter[bound]));
        assert_eq!(bounds, [min, default, max], "{name}");
    }
    let waits = CALLBACK_RETRY_SECS.map(|wait| wait.to_string()).join(",");
    assert_eq!(
        template.parameter("CallbackRetrySeconds")["Default"],
        Value::String(waits)
    );
}

#[test]
fn the_secrets_are_the_operators_or_the_stacks_and_not_shown() {
    let template = Template::read();
    let secrets = template.parameter("WebhookSecrets");
    assert_eq!(secrets["Default"], "");
    assert_eq!(secrets["NoEcho"], true);
    let stored = template.resource("WebhookSecret");
    let chosen = &stored["SecretString"]["Fn::If"];
    assert_eq!(chosen[0], "GeneratesSecret");
    assert_eq!(chosen[2]["Ref"], "WebhookSecrets");
    assert_eq!(
        stored["GenerateSecretString"]["Fn::If"][0],
        "GeneratesSecret"
    );
    for (function, _) in template.resources(FUNCTION) {
        let variables = template.resource(function)["Environment"].to_string();
        assert!(!variables.contains("WebhookSecrets"), "{function}");
    }
}

/// Starts a function with these variables and Lambda's, as its `main` does.
async fn start(function: &str, variables: &Variables) -> Result<(), String> {
    let secrets = SecretsManager::start().await;
    secrets.create("WebhookSecret", SECRET).await;
    let lambdas = LAMBDAS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment: Environment = variables.clone().into_iter().chain(lambdas).collect();
    let environment = environment.with([(
        "AWS_ENDPOINT_URL_SECRETS_MANAGER",
        secrets.endpoint.as_str(),
    )]);
    let aws = Aws::new(&environment, aws::http_connector(&environment).unwrap()).unwrap();
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    MetricsConfig::from_environment(&environment).map_err(|error| error.to_string())?;
    let started = match function {
        "SubmitFunction" => submit::Handler::new(&environment, &aws, clock, random).map(drop),
        "StatusFunction" => status::Handler::new(&environment, &aws, clock, random).map(drop),
        "WorkerFunction" => worker::Handler::new(&environment, &aws, clock, random).map(drop),
        "CallbackFunction" => callback::Handler::new(&environment, &aws, clock, random)
            .await
            .map(drop),
        other => panic!("unknown function {other}"),
    };
    started.map_err(|error| error.to_string())
}

/// A function's variables after a deployment with all defaults.
fn variables(template: &Template, function: &str) -> Variables {
    let variables = &template.resource(function)["Environment"]["Variables"];
    let variables = variables.as_object().unwrap().iter();
    variables
        .map(|(name, value)| (name.clone(), deployed(template, value)))
        .collect()
}

fn deployed(template: &Template, value: &Value) -> String {
    // A variable that depends on a condition, as if the condition holds.
    let value = value.pointer("/Fn::If/1").unwrap_or(value);
    let reference = value["Ref"].as_str().unwrap();
    match reference {
        "AWS::StackName" => return "ferry".to_owned(),
        "AWS::StackId" => return STACK_ID.to_owned(),
        _ => {}
    }
    let Some(resource) = template.section("Resources").get(reference) else {
        let default = template.default_of(value);
        return default
            .as_str()
            .map_or_else(|| default.to_string(), str::to_owned);
    };
    match resource["Type"].as_str().unwrap() {
        "AWS::DynamoDB::Table" | "AWS::SecretsManager::Secret" => reference.to_owned(),
        "AWS::SQS::Queue" => {
            format!("https://sqs.eu-central-1.amazonaws.com/123456789012/{reference}")
        }
        other => panic!("no setting refers to {other}"),
    }
}
