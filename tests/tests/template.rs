//! Compares `infra/template.yaml` with the code. A number, a name or a route that differs would
//! first show on AWS, and sometimes only after a crash there.

mod alarms;
mod cargo_lambda;
mod metrics;
mod settings;

use std::collections::BTreeSet;

use local::bundle::FUNCTIONS;
use local::gateway::{CORS, gateway_routes};
use serde_json::{Value, json};
use shared::catalogue::file::{PATH_IN_LAYER, load};
use shared::config::Environment;
use shared::domain::limits::{
    CALLBACK_FUNCTION_TIMEOUT_SECS, CALLBACK_VISIBILITY_SECS, DEAD_LETTER_RETENTION_SECS,
    HTTP_FUNCTION_TIMEOUT_SECS, QUEUE_RETENTION_SECS, RECEIVES_MAX, WORKER_TIMEOUT_SECS_DEFAULT,
};
use shared::http::HttpFunction;
use shared::store::table;

use tests::readme::{files, root};
use tests::template::{Template, arn_of, each};

const FUNCTION: &str = "AWS::Serverless::Function";
const QUEUE: &str = "AWS::SQS::Queue";
const ROLE: &str = "AWS::IAM::Role";
/// The service that deploys assumes it, and no function.
const DEPLOYMENT_ROLE: &str = "DeploymentRole";
const ROUTE: &str = "AWS::ApiGatewayV2::Route";

/// Each queue with its dead-letter queue, the function that reads both, and their visibility
/// timeout.
const QUEUES: [(&str, &str, &str, u32); 2] = [
    (
        "DispatchQueue",
        "DispatchDeadLetterQueue",
        "WorkerFunction",
        WORKER_TIMEOUT_SECS_DEFAULT,
    ),
    (
        "CallbackQueue",
        "CallbackDeadLetterQueue",
        "CallbackFunction",
        CALLBACK_VISIBILITY_SECS,
    ),
];

#[test]
fn the_table_has_the_stores_keys_and_index() {
    let template = Template::read();
    let table = template.resource("Table");
    let keys = |schema: &Value| {
        let keys = each(schema).iter().map(|key| {
            let part = |name| key[name].as_str().unwrap().to_owned();
            (part("AttributeName"), part("KeyType"))
        });
        keys.collect::<Vec<_>>()
    };
    let expected = |[hash, range]: [&str; 2]| {
        vec![
            (hash.to_owned(), "HASH".to_owned()),
            (range.to_owned(), "RANGE".to_owned()),
        ]
    };
    assert_eq!(keys(&table["KeySchema"]), expected(table::TABLE_KEYS));

    let indexes = each(&table["GlobalSecondaryIndexes"]);
    assert_eq!(indexes.len(), 1);
    assert_eq!(indexes[0]["IndexName"], table::BY_OWNER);
    assert_eq!(
        keys(&indexes[0]["KeySchema"]),
        expected(table::BY_OWNER_KEYS)
    );
    assert_eq!(indexes[0]["Projection"]["ProjectionType"], "KEYS_ONLY");

    let [pk, sk] = table::TABLE_KEYS;
    let [owner, created_at] = table::BY_OWNER_KEYS;
    let attributes = [(pk, "S"), (sk, "S"), (owner, "S"), (created_at, "N")];
    let attributes = attributes
        .map(|(name, kind)| json!({ "AttributeName": name, "AttributeType": kind }))
        .to_vec();
    assert_eq!(table["AttributeDefinitions"], Value::Array(attributes));

    assert_eq!(
        table["TimeToLiveSpecification"],
        json!({ "AttributeName": table::TTL_ATTRIBUTE, "Enabled": true })
    );
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
}

#[test]
fn the_functions_have_the_timeouts_that_the_code_counts_on() {
    let template = Template::read();
    let timeouts = [
        ("submit", "SubmitFunction", HTTP_FUNCTION_TIMEOUT_SECS),
        ("status", "StatusFunction", HTTP_FUNCTION_TIMEOUT_SECS),
        ("worker", "WorkerFunction", WORKER_TIMEOUT_SECS_DEFAULT),
        (
            "callback",
            "CallbackFunction",
            CALLBACK_FUNCTION_TIMEOUT_SECS,
        ),
    ];
    assert_eq!(template.resources(FUNCTION).len(), timeouts.len());
    for (name, resource, timeout_secs) in timeouts {
        let function = template.resource(resource);
        assert_eq!(template.number(&function["Timeout"]), timeout_secs);
        let metadata = &template.section("Resources")[resource]["Metadata"];
        assert_eq!(metadata["BuildMethod"], "rust-cargolambda");
        assert_eq!(metadata["BuildProperties"]["Binary"], name);

        let local = FUNCTIONS.iter().find(|shape| shape.name == name).unwrap();
        assert_eq!(local.timeout.as_secs(), u64::from(timeout_secs), "{name}");
        assert_eq!(
            template.number(&function["MemorySize"]),
            local.memory_mb,
            "{name}"
        );
    }
    let globals = template.globals();
    assert_eq!(globals["Runtime"], "provided.al2023");
    assert_eq!(globals["Handler"], "bootstrap");
    assert_eq!(globals["LoggingConfig"]["LogFormat"], "JSON");
}

#[test]
fn the_dispatch_queues_visibility_and_the_functions_settings_follow_the_workers_timeout() {
    let template = Template::read();
    let parameter = json!({"Ref": "WorkerTimeoutSeconds"});
    assert_eq!(template.resource("WorkerFunction")["Timeout"], parameter);
    for queue in ["DispatchQueue", "DispatchDeadLetterQueue"] {
        let visibility = &template.resource(queue)["VisibilityTimeout"];
        assert_eq!(*visibility, parameter, "{queue}");
    }
    for (name, function) in template.resources(FUNCTION) {
        let variables = &function["Environment"]["Variables"];
        let reads_file = function.get("Layers").is_some();
        let expected = reads_file.then_some(&parameter);
        assert_eq!(variables.get("WORKER_TIMEOUT_SECONDS"), expected, "{name}");
    }
}

/// Lambda unpacks the layer to `/opt`, so its directory has the rest of the path.
#[test]
fn the_layer_is_the_file_of_registered_functions() {
    let template = Template::read();
    let content = template.resource("FunctionsLayer")["ContentUri"].as_str();
    let directory = root().join("infra").join(content.unwrap());
    let file = directory.join(PATH_IN_LAYER.strip_prefix("/opt/").unwrap());
    assert_eq!(files(&directory), [file.as_path()]);
    let environment = Environment::from_iter([("FUNCTIONS_FILE", file.to_str().unwrap())]);
    assert!(load(&environment, WORKER_TIMEOUT_SECS_DEFAULT).is_ok());
}

/// Lambda's metrics have the time at which an invocation began. An alarm that evaluates less time
/// than the longest invocation takes would miss that invocation's failure.
#[test]
fn alarms_on_failures_evaluate_more_time_than_an_invocation_may_take() {
    /// How long the metrics may take to arrive.
    const ARRIVAL_SECS: u32 = 60;
    /// CloudWatch's limit for periods under an hour.
    const EVALUATED_SECS_MAX: u32 = 86_400;
    let template = Template::read();
    let mut seen = 0;
    for (name, _) in template.resources("AWS::CloudWatch::Alarm") {
        let alarm = template.resource(name);
        let text = alarm.to_string();
        if !text.contains("\"Errors\"") && !text.contains("CallerCausedExits") {
            continue;
        }
        let function = ["Submit", "Status", "Callback"]
            .into_iter()
            .find(|function| name.starts_with(function))
            .unwrap_or("Worker");
        let timeout = &template.resource(&format!("{function}Function"))["Timeout"];
        let longest_secs = timeout["Ref"].as_str().map_or_else(
            || template.number(timeout),
            |name| template.number(&template.parameter(name)["MaxValue"]),
        );
        let period_secs = alarm.get("Period").map_or_else(
            || template.number(&alarm["Metrics"][0]["MetricStat"]["Period"]),
            |period| template.number(period),
        );
        let evaluated_secs = period_secs * template.number(&alarm["EvaluationPeriods"]);
        assert!(evaluated_secs >= longest_secs + ARRIVAL_SECS, "{name}");
        assert!(evaluated_secs <= EVALUATED_SECS_MAX, "{name}");
        let is_any = alarm["EvaluationPeriods"] == 1 || alarm["DatapointsToAlarm"] == 1;
        assert!(is_any, "{name}");
        seen += 1;
    }
    assert_eq!(
        seen, 9,
        "four functions, four rollbacks and one for callers"
    );
}

#[test]
fn the_queues_have_the_codes_timeouts_retention_and_redrive() {
    let template = Template::read();
    assert_eq!(template.resources(QUEUE).len(), 2 * QUEUES.len());
    for (queue, dead_letters, consumer, visibility_secs) in QUEUES {
        let timeout_secs = template.number(&template.resource(consumer)["Timeout"]);
        for (name, retention_secs) in [
            (queue, QUEUE_RETENTION_SECS),
            (dead_letters, DEAD_LETTER_RETENTION_SECS),
        ] {
            let queue = template.resource(name);
            let seconds = |property: &str| template.number(&queue[property]);
            assert_eq!(seconds("VisibilityTimeout"), visibility_secs, "{name}");
            assert!(seconds("VisibilityTimeout") >= timeout_secs, "{name}");
            assert_eq!(seconds("MessageRetentionPeriod"), retention_secs, "{name}");
        }
        let redrive = &template.resource(queue)["RedrivePolicy"];
        assert_eq!(arn_of(&redrive["deadLetterTargetArn"]), dead_letters);
        assert_eq!(template.number(&redrive["maxReceiveCount"]), RECEIVES_MAX);
        let own_redrive = template.resource(dead_letters).get("RedrivePolicy");
        assert_eq!(own_redrive, None, "{dead_letters}");
    }
}

#[test]
fn every_queue_has_one_reader_with_partial_batch_responses() {
    let template = Template::read();
    for (queue, dead_letters, consumer, _) in QUEUES {
        let mappings = template.events(consumer, "SQS");
        let sources: Vec<_> = mappings
            .iter()
            .map(|mapping| arn_of(&mapping["Queue"]))
            .collect();
        assert_eq!(sources, [queue, dead_letters]);
        for mapping in mappings {
            assert_eq!(
                mapping["FunctionResponseTypes"],
                json!(["ReportBatchItemFailures"])
            );
            let concurrency = &mapping["ScalingConfig"]["MaximumConcurrency"];
            // Lambda's range.
            assert!((2..=1000).contains(&template.number(concurrency)));
            // Without a batching window Lambda accepts no larger batches.
            assert!((1..=10).contains(&template.number(&mapping["BatchSize"])));
            assert_eq!(mapping.get("MaximumBatchingWindowInSeconds"), None);
        }
    }
    let readers = template.resources(FUNCTION);
    let readers = readers
        .iter()
        .filter(|(name, _)| !template.events(name, "SQS").is_empty());
    assert_eq!(readers.count(), QUEUES.len());

    let worker = template.events("WorkerFunction", "SQS");
    assert_eq!(template.number(&worker[0]["BatchSize"]), 1);
}

#[test]
fn the_routes_are_those_of_the_list_of_routes() {
    let template = Template::read();
    let mut routes = BTreeSet::new();
    for (name, route) in template.resources(ROUTE) {
        // A CORS preflight route, which the local gateway does not need.
        if template.section("Resources")[name].get("Condition") == Some(&json!("AllowsOrigins")) {
            continue;
        }
        let target = route["Target"]["Fn::Sub"].as_str().unwrap();
        let function = match target {
            "integrations/${SubmitIntegration}" => "SubmitFunction",
            "integrations/${StatusIntegration}" => "StatusFunction",
            other => panic!("unknown integration {other}"),
        };
        let key = route["RouteKey"].as_str().unwrap().to_owned();
        routes.insert((key, function, route["AuthorizationType"] != "NONE"));
    }
    let derived = gateway_routes().iter().map(|route| {
        let function = match route.function {
            HttpFunction::Submit => "SubmitFunction",
            HttpFunction::Status => "StatusFunction",
        };
        (route.key.clone(), function, !route.is_public)
    });
    assert_eq!(routes, derived.collect());
}

#[test]
fn the_cors_configuration_is_that_of_the_local_gateway() {
    let template = Template::read();
    let configuration = &template.resource("Api")["CorsConfiguration"]["Fn::If"][1];
    let local = json!({
        "AllowOrigins": configuration["AllowOrigins"],
        "AllowMethods": CORS.allow_methods,
        "AllowHeaders": CORS.allow_headers,
        "ExposeHeaders": CORS.expose_headers,
        "MaxAge": CORS.max_age_secs,
    });
    assert_eq!(configuration, &local);
}

#[test]
fn every_route_has_the_chosen_authorizer_unless_it_is_public() {
    let template = Template::read();
    let authorizer = template.parameter("Authorizer");
    assert_eq!(authorizer.get("Default"), None);
    let chosen = json!({"Fn::FindInMap": ["AuthorizationTypes", { "Ref": "Authorizer" }, "Name"]});
    let types = &template.section("Mappings")["AuthorizationTypes"];
    for choice in each(&authorizer["AllowedValues"]) {
        let choice = choice.as_str().unwrap();
        let is_open = types[choice]["Name"] == "NONE";
        assert_eq!(is_open, choice.starts_with("none"), "{choice}");
    }
    for (name, route) in template.resources(ROUTE) {
        let kind = &route["AuthorizationType"];
        assert!(*kind == chosen || kind == "NONE", "{name}");
    }
}

#[test]
fn no_role_uses_wildcards() {
    let template = Template::read();
    for (name, role) in template.resources(ROLE) {
        if name == DEPLOYMENT_ROLE {
            // CodeDeploy's own policy.
            continue;
        }
        assert_eq!(role.get("ManagedPolicyArns"), None, "{name}");
        for policy in each(&role["Policies"]) {
            for statement in each(&policy["PolicyDocument"]["Statement"]) {
                let statement = match each(&statement["Fn::If"]) {
                    [_, then, _] => then,
                    _ => statement,
                };
                let (actions, resources) = (&statement["Action"], &statement["Resource"]);
                assert!(!actions.to_string().contains('*'), "{name}: {actions}");
                // X-Ray's actions support no resources, and the network interfaces that Lambda
                // creates have no name yet.
                let unnamed = each(actions).iter().all(|action| {
                    let action = action.as_str().unwrap();
                    action.starts_with("xray:") || action.starts_with("ec2:")
                });
                assert!(
                    unnamed || !resources.to_string().contains('*'),
                    "{name}: {resources}"
                );
            }
        }
    }
}

#[test]
fn only_the_callback_function_reads_the_secret() {
    let template = Template::read();
    let readers: Vec<_> = template
        .resources(ROLE)
        .into_iter()
        .filter(|(_, role)| role.to_string().contains("WebhookSecret"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(readers, ["CallbackRole"]);
}

#[test]
fn every_function_has_its_own_role() {
    let template = Template::read();
    let functions = template.resources(FUNCTION);
    let mut roles: BTreeSet<_> = functions
        .iter()
        .map(|(_, function)| arn_of(&function["Role"]))
        .collect();
    assert_eq!(roles.len(), functions.len());
    roles.insert(DEPLOYMENT_ROLE);
    let all: BTreeSet<_> = template
        .resources(ROLE)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(roles, all);
}
