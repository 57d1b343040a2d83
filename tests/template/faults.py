"""Faults that a change could put into the template, each with the check that must notice it.

Each changes one place of the template as written, before SAM translates it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from . import choices
from .checks import Check, data, functions, http, operation, permissions
from .stack import Json, Parameters


@dataclass(frozen=True)
class Fault:
    name: str
    noticed_by: Check
    inject: Callable[[Json], None]
    parameters: Parameters = field(default_factory=lambda: choices.JWT)


@dataclass(frozen=True)
class ToolFault:
    """A fault that a tool must notice, with a part of the tool's message."""

    name: str
    message: str
    inject: Callable[[Json], None]
    parameters: Parameters = field(default_factory=lambda: choices.JWT)


def _properties(template: Json, resource: str) -> Json:
    return template["Resources"][resource]["Properties"]


def _put(resource: str, name: str, value: Json) -> Callable[[Json], None]:
    def inject(template: Json) -> None:
        _properties(template, resource)[name] = value

    return inject


def _drop(resource: str, name: str) -> Callable[[Json], None]:
    def inject(template: Json) -> None:
        del _properties(template, resource)[name]

    return inject


def _allow(role: str, actions: list[str], resource: Json) -> Callable[[Json], None]:
    def inject(template: Json) -> None:
        statements = _properties(template, role)["Policies"][0]["PolicyDocument"]["Statement"]
        statements.append({"Effect": "Allow", "Action": actions, "Resource": resource})

    return inject


def _event(function: str, event: str, name: str, value: Json) -> Callable[[Json], None]:
    def inject(template: Json) -> None:
        _properties(template, function)["Events"][event]["Properties"][name] = value

    return inject


def _variable(function: str, name: str, resource: str) -> Callable[[Json], None]:
    def inject(template: Json) -> None:
        _properties(template, function)["Environment"]["Variables"][name] = {"Ref": resource}

    return inject


def _drop_variable(function: str, name: str) -> Callable[[Json], None]:
    def inject(template: Json) -> None:
        del _properties(template, function)["Environment"]["Variables"][name]

    return inject


def _part_of_alarm(alarm: str, identifier: str, name: str, value: Json) -> Callable[[Json], None]:
    def inject(template: Json) -> None:
        [part] = [
            part for part in _properties(template, alarm)["Metrics"] if part["Id"] == identifier
        ]
        (part if name in part else part["MetricStat"])[name] = value

    return inject


def _any_version(alarm: str, identifier: str) -> Callable[[Json], None]:
    def inject(template: Json) -> None:
        [part] = [
            part for part in _properties(template, alarm)["Metrics"] if part["Id"] == identifier
        ]
        metric = part["MetricStat"]["Metric"]
        metric["Dimensions"] = [
            one for one in metric["Dimensions"] if one["Name"] != "ExecutedVersion"
        ]

    return inject


def _change_generated_secret(template: Json) -> None:
    _properties(template, "WebhookSecret")["GenerateSecretString"]["Fn::If"][1]["ExcludePunctuation"] = False


def _drop_deployment_role(template: Json) -> None:
    del template["Globals"]["Function"]["DeploymentPreference"]["Role"]


def _change_output(template: Json) -> None:
    template["Outputs"]["CallbackQueueArn"]["Value"] = {"Fn::GetAtt": ["DispatchQueue", "Arn"]}


def _drop_rule(name: str) -> Callable[[Json], None]:
    def inject(template: Json) -> None:
        del template["Rules"][name]

    return inject


def _drop_resource(name: str) -> Callable[[Json], None]:
    def inject(template: Json) -> None:
        del template["Resources"][name]

    return inject


def _change_targets(resource: Json) -> Callable[[Json], None]:
    """Lets the worker invoke this resource instead of the parameter's; with `None`, nothing."""

    def inject(template: Json) -> None:
        statements = _properties(template, "WorkerRole")["Policies"][0]["PolicyDocument"][
            "Statement"
        ]
        [entry] = [one for one in statements if one.get("Fn::If", [""])[0] == "HasTargets"]
        if resource is None:
            statements.remove(entry)
        else:
            entry["Fn::If"][1]["Resource"] = resource

    return inject


def _accept_any_target(template: Json) -> None:
    del template["Parameters"]["TargetFunctionArns"]["AllowedPattern"]


def _allow_key_without_condition(template: Json) -> None:
    for entry in _properties(template, "WorkerRole")["Policies"][0]["PolicyDocument"]["Statement"]:
        if "Fn::If" in entry and entry["Fn::If"][0] == "HasKey":
            del entry["Fn::If"][1]["Condition"]


def _allow_network_changes_by_code(template: Json) -> None:
    for entry in _properties(template, "CallbackRole")["Policies"][0]["PolicyDocument"][
        "Statement"
    ]:
        if "Condition" in entry:
            del entry["Condition"]


def _allow_everyone_to_invoke(template: Json) -> None:
    template["Resources"]["WorkerPermission"] = {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "FunctionName": {"Ref": "WorkerFunction"},
            "Action": "lambda:InvokeFunction",
            "Principal": "*",
        },
    }


def _fix_log_level(template: Json) -> None:
    template["Globals"]["Function"]["LoggingConfig"]["ApplicationLogLevel"] = "INFO"


def _log_successes(template: Json) -> None:
    del template["Globals"]["Function"]["LoggingConfig"]["SystemLogLevel"]


def _put_secret_into_variable(template: Json) -> None:
    variables = _properties(template, "CallbackFunction")["Environment"]["Variables"]
    variables["WEBHOOK_SECRETS"] = {"Ref": "WebhookSecrets"}


def _log_tokens(template: Json) -> None:
    settings = _properties(template, "Stage")["AccessLogSettings"]
    settings["Format"] = (
        '{"requestId":"$context.requestId","token":"$request.header.Authorization"}'
    )


def _log(members: str) -> Callable[[Json], None]:
    def inject(template: Json) -> None:
        settings = _properties(template, "Stage")["AccessLogSettings"]
        settings["Format"] = settings["Format"].removesuffix("}") + f", {members}}}"

    return inject


def _drop_preflight_settings(template: Json) -> None:
    settings = _properties(template, "Stage")["RouteSettings"]["Fn::If"]
    settings[1] = settings[2]


def _drop_stage_metadata(template: Json) -> None:
    del template["Resources"]["Stage"]["Metadata"]


def _output_default_domain(template: Json) -> None:
    template["Outputs"]["ApiUrl"]["Value"] = {"Fn::GetAtt": ["Api", "ApiEndpoint"]}


def _drop_order_of_deployment(function: str) -> Callable[[Json], None]:
    def drop(template: Json) -> None:
        del template["Resources"][function]["DependsOn"]

    return drop


def _add_layer_of_submit(template: Json) -> None:
    template["Resources"]["SubmitLayer"] = template["Resources"]["FunctionsLayer"]
    _properties(template, "SubmitFunction")["Layers"] = [{"Ref": "SubmitLayer"}]


def _drop_release(template: Json) -> None:
    del _properties(template, "WorkerFunction")["AutoPublishCodeSha256"]


def _drop_description(template: Json) -> None:
    template["Parameters"]["LeaseSeconds"]["Description"] = ""


def _hide_alarm(template: Json) -> None:
    body = _properties(template, "Dashboard")["DashboardBody"]
    body["Fn::Sub"] = body["Fn::Sub"].replace('"${ThrottlesAlarm.Arn}",\n', "")


def _fix_architecture(template: Json) -> None:
    template["Globals"]["Function"]["Architectures"] = ["arm64"]


def _delete_with_stack(template: Json) -> None:
    del template["Resources"]["Table"]["DeletionPolicy"]


_TABLE_ARN = {"Fn::GetAtt": ["Table", "Arn"]}
_DISPATCH_ARN = {"Fn::GetAtt": ["DispatchQueue", "Arn"]}

LINT_FAULT = ToolFault(
    "an unknown property", "E3002", _put("DispatchQueue", "VisibilityTimeoutSecs", 900)
)
# With the operator's key, SQS's own encryption is off.
SCAN_FAULT = ToolFault(
    "messages without encryption",
    "CKV_AWS_27 on",
    _drop("DispatchQueue", "KmsMasterKeyId"),
    choices.EVERYTHING,
)
MOTO_FAULTS = [
    ToolFault(
        "the table has a fixed name",
        "an account cannot hold the stack twice",
        _put("Table", "TableName", "ferry"),
    ),
    ToolFault(
        "a queue without a redrive",
        "DispatchQueue's redrive is",
        _drop("DispatchQueue", "RedrivePolicy"),
    ),
    ToolFault(
        "the worker's callbacks go to its own queue",
        "WorkerFunction's CALLBACK_QUEUE_URL is",
        _variable("WorkerFunction", "CALLBACK_QUEUE_URL", "DispatchQueue"),
    ),
]

FAULTS: list[Fault] = [
    Fault(
        "the table has no TTL",
        data.the_table_is_protected_and_expires_items,
        _drop("Table", "TimeToLiveSpecification"),
    ),
    Fault(
        "the table has no point-in-time recovery",
        data.the_table_is_protected_and_expires_items,
        _drop("Table", "PointInTimeRecoverySpecification"),
    ),
    Fault(
        "the table is deleted with the stack",
        data.the_table_is_protected_and_expires_items,
        _delete_with_stack,
    ),
    Fault(
        "the table has a fixed name",
        operation.no_resource_has_a_fixed_name,
        _put("Table", "TableName", "ferry"),
    ),
    Fault(
        "a log group has a fixed name",
        operation.no_resource_has_a_fixed_name,
        _put("ApiLogGroup", "LogGroupName", "/ferry/api"),
    ),
    Fault(
        "a queue has no redrive",
        data.queues_have_dead_letter_queues,
        _drop("DispatchQueue", "RedrivePolicy"),
    ),
    Fault(
        "a dead-letter queue's retention is too short",
        data.queues_have_dead_letter_queues,
        _put("CallbackDeadLetterQueue", "MessageRetentionPeriod", 864_000 - 1),
    ),
    Fault(
        "a message becomes visible while a function has it",
        data.messages_stay_invisible_while_a_function_has_them,
        _put("DispatchQueue", "VisibilityTimeout", 899),
    ),
    Fault(
        "the dispatch queue's visibility does not follow a longer timeout",
        data.messages_stay_invisible_while_a_function_has_them,
        _put("DispatchQueue", "VisibilityTimeout", 900),
        choices.EVERYTHING,
    ),
    Fault(
        "the dead letters' visibility does not follow a longer timeout",
        data.messages_stay_invisible_while_a_function_has_them,
        _put("DispatchDeadLetterQueue", "VisibilityTimeout", 900),
        choices.EVERYTHING,
    ),
    Fault(
        "a function outlasts its messages' visibility",
        data.messages_stay_invisible_while_a_function_has_them,
        _put("CallbackFunction", "Timeout", 91),
    ),
    Fault(
        "one failure fails the batch",
        functions.each_queue_has_one_reader_with_partial_batch_responses,
        _event("WorkerFunction", "Dispatch", "FunctionResponseTypes", []),
    ),
    Fault(
        "workers without a maximum concurrency",
        functions.each_queue_has_one_reader_with_partial_batch_responses,
        _event("WorkerFunction", "Dispatch", "ScalingConfig", {}),
    ),
    Fault(
        "a queue without a reader",
        functions.each_queue_has_one_reader_with_partial_batch_responses,
        _event("WorkerFunction", "Dispatch", "Enabled", False),
    ),
    Fault(
        "messages are filtered out",
        functions.each_queue_has_one_reader_with_partial_batch_responses,
        _event(
            "CallbackFunction",
            "Callback",
            "FilterCriteria",
            {"Filters": [{"Pattern": '{"body": ["none"]}'}]},
        ),
    ),
    Fault(
        "submit's work goes to dead letters",
        functions.variables_refer_to_the_right_resources,
        _variable("SubmitFunction", "DISPATCH_QUEUE_URL", "DispatchDeadLetterQueue"),
    ),
    Fault(
        "another secret signs",
        functions.variables_refer_to_the_right_resources,
        _variable("CallbackFunction", "WEBHOOK_SECRETS_ARN", "Table"),
    ),
    Fault(
        "a worker's timeout that the operator cannot set",
        functions.the_workers_timeout_is_the_parameters,
        _put("WorkerFunction", "Timeout", 900),
        choices.EVERYTHING,
    ),
    *(
        Fault(
            f"{function} checks registered functions by another timeout than the worker's",
            functions.the_workers_timeout_is_the_parameters,
            _drop_variable(f"{function}Function", "WORKER_TIMEOUT_SECONDS"),
        )
        for function in ("Submit", "Status", "Worker")
    ),
    Fault(
        "the worker does not have the registered functions",
        functions.registered_functions_come_from_one_layer,
        _drop("WorkerFunction", "Layers"),
    ),
    Fault(
        "callback has the registered functions",
        functions.registered_functions_come_from_one_layer,
        _put("CallbackFunction", "Layers", [{"Ref": "FunctionsLayer"}]),
    ),
    Fault(
        "submit has another layer than the worker",
        functions.registered_functions_come_from_one_layer,
        _add_layer_of_submit,
    ),
    Fault(
        "an older version of a function has no layer",
        functions.registered_functions_come_from_one_layer,
        _put("FunctionsLayer", "RetentionPolicy", "Delete"),
    ),
    Fault(
        "two stacks share a layer",
        operation.no_resource_has_a_fixed_name,
        _put("FunctionsLayer", "LayerName", "functions"),
    ),
    Fault(
        "another payload format",
        http.requests_reach_the_functions,
        _put("StatusIntegration", "PayloadFormatVersion", "1.0"),
    ),
    Fault(
        "routes that are never deployed",
        http.requests_reach_the_functions,
        _put("Stage", "AutoDeploy", False),
    ),
    Fault(
        "preflight requests are refused",
        http.requests_reach_the_functions,
        _drop("PreflightIntegration", "ResponseParameters"),
        choices.EVERYTHING,
    ),
    Fault(
        "preflight requests go to submit",
        http.requests_reach_the_functions,
        _put("PreflightIntegration", "IntegrationUri", {"Ref": "SubmitFunction.Alias"}),
        choices.EVERYTHING,
    ),
    Fault(
        "a preflight request gets status' response unchanged",
        http.browsers_may_call_from_the_chosen_origins,
        _put("HealthPreflight", "Target", {"Fn::Sub": "integrations/${StatusIntegration}"}),
        choices.EVERYTHING,
    ),
    Fault(
        "a route without an authorizer",
        http.routes_require_the_chosen_authorizer,
        _put("CancelRoute", "AuthorizationType", "NONE"),
    ),
    Fault(
        "a route without an authorizer of that kind",
        http.routes_require_the_chosen_authorizer,
        _put("CancelRoute", "AuthorizationType", "JWT"),
        choices.IAM,
    ),
    Fault(
        "a route that requires no scope",
        http.routes_require_the_chosen_authorizer,
        _drop("RedeliverRoute", "AuthorizationScopes"),
        choices.EVERYTHING,
    ),
    Fault(
        "the authorizer function must return a policy",
        http.authorizers_use_the_chosen_issuer_or_function,
        _drop("LambdaAuthorizer", "EnableSimpleResponses"),
        choices.LAMBDA,
    ),
    Fault(
        "an authorizer's cached response for one route allows the others",
        http.authorizers_use_the_chosen_issuer_or_function,
        _put("LambdaAuthorizer", "IdentitySource", ["$request.header.Authorization"]),
        choices.LAMBDA,
    ),
    Fault(
        "health requires a token",
        http.routes_require_the_chosen_authorizer,
        _put("HealthRoute", "AuthorizationType", "AWS_IAM"),
    ),
    Fault(
        "preflight requests meet an authorizer",
        http.browsers_may_call_from_the_chosen_origins,
        _drop_resource("OperationPreflight"),
        choices.EVERYTHING,
    ),
    Fault(
        "requests without a throttle",
        http.the_gateway_throttles,
        _drop("Stage", "DefaultRouteSettings"),
    ),
    Fault(
        "health uses up the callers' requests",
        http.the_gateway_throttles,
        _drop("Stage", "RouteSettings"),
    ),
    Fault(
        "preflight requests use up the callers' requests",
        http.the_gateway_throttles,
        _drop_preflight_settings,
        choices.EVERYTHING,
    ),
    Fault(
        "settings of a route that does not exist yet",
        http.the_gateway_throttles,
        _drop_stage_metadata,
    ),
    Fault(
        "a path forges the access log",
        http.an_access_log_line_is_json_whatever_callers_send,
        _log('"path": "$context.path"'),
    ),
    Fault(
        "an authorizer's message forges the access log",
        http.an_access_log_line_is_json_whatever_callers_send,
        _log('"authorizerError": "$context.authorizer.error"'),
    ),
    Fault(
        "a quoted message leaves other lines without a value",
        http.an_access_log_line_is_json_whatever_callers_send,
        _log('"gatewayMessage": $context.error.messageString'),
    ),
    Fault(
        "the API's default domain still responds",
        http.the_api_url_responds,
        _drop("Api", "DisableExecuteApiEndpoint"),
        choices.EVERYTHING,
    ),
    Fault(
        "the output names a domain that does not respond",
        http.the_api_url_responds,
        _output_default_domain,
        choices.EVERYTHING,
    ),
    Fault("tokens in the access log", http.the_gateway_logs_no_secrets, _log_tokens),
    Fault(
        "submit may delete the table",
        permissions.roles_allow_what_is_listed,
        _allow("SubmitRole", ["dynamodb:DeleteTable"], _TABLE_ARN),
    ),
    Fault(
        "status may send work",
        permissions.roles_allow_what_is_listed,
        _allow("StatusRole", ["sqs:SendMessage"], _DISPATCH_ARN),
    ),
    Fault(
        "a wildcard among actions",
        permissions.nothing_is_allowed_by_wildcard,
        _allow("WorkerRole", ["dynamodb:*"], _TABLE_ARN),
    ),
    Fault(
        "a wildcard for a resource",
        permissions.nothing_is_allowed_by_wildcard,
        _allow("WorkerRole", ["sqs:SendMessage"], "*"),
    ),
    Fault(
        "the worker may read the secret",
        permissions.roles_allow_what_is_listed,
        _allow("WorkerRole", ["secretsmanager:GetSecretValue"], {"Ref": "WebhookSecret"}),
    ),
    Fault(
        "the worker may not invoke its targets",
        permissions.roles_allow_what_is_listed,
        _change_targets(None),
        choices.EVERYTHING,
    ),
    Fault(
        "the worker may invoke one target only",
        permissions.roles_allow_what_is_listed,
        _change_targets(choices.TARGET_ARN),
        choices.EVERYTHING,
    ),
    Fault(
        "the worker may invoke any function",
        permissions.nothing_is_allowed_by_wildcard,
        _change_targets("*"),
        choices.EVERYTHING,
    ),
    Fault(
        "the worker may invoke the authorizer function as well",
        permissions.roles_allow_what_is_listed,
        _allow("WorkerRole", ["lambda:InvokeFunction"], choices.AUTHORIZER_ARN),
        choices.EVERYTHING,
    ),
    Fault(
        "without targets, the worker may invoke a function",
        permissions.roles_allow_what_is_listed,
        _allow("WorkerRole", ["lambda:InvokeFunction"], choices.TARGET_ARN),
    ),
    Fault(
        "submit may invoke a target",
        permissions.roles_allow_what_is_listed,
        _allow("SubmitRole", ["lambda:InvokeFunction"], choices.TARGET_ARN),
        choices.EVERYTHING,
    ),
    Fault(
        "any text is a target",
        operation.every_parameter_is_described,
        _accept_any_target,
    ),
    Fault(
        "the key is used for anything",
        permissions.conditions_are_as_listed,
        _allow_key_without_condition,
        choices.EVERYTHING,
    ),
    Fault(
        "the gateway may not invoke submit",
        permissions.only_the_gateway_may_invoke_functions,
        _drop_resource("SubmitPermission"),
    ),
    Fault(
        "everyone may invoke status",
        permissions.only_the_gateway_may_invoke_functions,
        _put("StatusPermission", "Principal", "*"),
    ),
    Fault(
        "any API may invoke status",
        permissions.only_the_gateway_may_invoke_functions,
        _put("StatusPermission", "SourceArn", "*"),
    ),
    Fault(
        "the gateway may invoke submit past the alias",
        permissions.only_the_gateway_may_invoke_functions,
        _put("SubmitPermission", "FunctionName", {"Ref": "SubmitFunction"}),
    ),
    Fault(
        "everyone may invoke the worker",
        permissions.only_the_gateway_may_invoke_functions,
        _allow_everyone_to_invoke,
    ),
    Fault(
        "the gateway may not invoke the authorizer function",
        permissions.only_the_gateway_may_invoke_functions,
        _drop_resource("LambdaAuthorizerPermission"),
        choices.LAMBDA,
    ),
    Fault("the secret in a variable", permissions.secrets_stay_secret, _put_secret_into_variable),
    Fault(
        "a generated secret with other characters than base64's",
        permissions.secrets_stay_secret,
        _change_generated_secret,
        choices.NONE,
    ),
    Fault(
        "the role of CodeDeploy with more permissions",
        permissions.only_codedeploy_deploys,
        _put("DeploymentRole", "ManagedPolicyArns", ["arn:aws:iam::aws:policy/AdministratorAccess"]),
    ),
    Fault(
        "SAM's own role for CodeDeploy",
        permissions.roles_allow_what_is_listed,
        _drop_deployment_role,
    ),
    Fault(
        "a role without the boundary",
        permissions.roles_have_the_chosen_path_and_boundary,
        _drop("WorkerRole", "PermissionsBoundary"),
        choices.EVERYTHING,
    ),
    Fault(
        "a role without the path",
        permissions.roles_have_the_chosen_path_and_boundary,
        _drop("DeploymentRole", "Path"),
        choices.EVERYTHING,
    ),
    Fault(
        "an output that names another queue",
        operation.a_parent_stack_gets_every_arn,
        _change_output,
    ),
    Fault(
        "the secret under another key",
        data.stored_data_is_encrypted_with_the_chosen_key,
        _drop("WebhookSecret", "KmsKeyId"),
        choices.EVERYTHING,
    ),
    Fault(
        "a parameter without a description",
        operation.every_parameter_is_described,
        _drop_description,
    ),
    Fault(
        "logs are kept forever",
        operation.logs_have_the_chosen_level_and_retention,
        _drop("WorkerLogGroup", "RetentionInDays"),
    ),
    Fault(
        "an alarm without a runbook",
        operation.every_alarm_links_to_the_runbook,
        _put("ThrottlesAlarm", "AlarmDescription", "Throttles"),
    ),
    Fault(
        "dead letters without an alarm",
        operation.alarms_are_as_listed,
        _drop_resource("CallbackDeadLettersAlarm"),
    ),
    Fault(
        "an inverted alarm",
        operation.alarms_are_as_listed,
        _put("GatewayErrorsAlarm", "ComparisonOperator", "LessThanThreshold"),
    ),
    Fault(
        "an alarm with an unreachable threshold",
        operation.alarms_are_as_listed,
        _put("ThrottlesAlarm", "Threshold", 1_000_000),
    ),
    Fault(
        "an alarm that the operator cannot set",
        operation.alarms_are_as_listed,
        _put("SubmitErrorsAlarm", "Threshold", "1"),
        choices.EVERYTHING,
    ),
    Fault(
        "an average hides the oldest message",
        operation.alarms_are_as_listed,
        _put("CallbackAgeAlarm", "Statistic", "Average"),
    ),
    Fault(
        "an alarm without notifications",
        operation.alarms_are_as_listed,
        _put("DispatchAgeAlarm", "ActionsEnabled", False),
    ),
    Fault(
        "an expression leaves received dead letters out",
        operation.alarms_are_as_listed,
        _part_of_alarm("DispatchDeadLettersAlarm", "dead", "Expression", "FILL(visible, 0)"),
    ),
    Fault(
        "a part of an expression is another statistic",
        operation.alarms_are_as_listed,
        _part_of_alarm("CallbackDeadLettersAlarm", "visible", "Stat", "Minimum"),
    ),
    Fault(
        "a log level that the operator cannot set",
        operation.logs_have_the_chosen_level_and_retention,
        _fix_log_level,
        choices.EVERYTHING,
    ),
    Fault(
        "a log of successful invocations",
        operation.logs_have_the_chosen_level_and_retention,
        _log_successes,
    ),
    Fault(
        "an alarm that the dashboard does not show",
        operation.the_dashboard_shows_every_alarm,
        _hide_alarm,
    ),
    Fault(
        "functions built for another architecture than theirs",
        functions.functions_match_their_build,
        _fix_architecture,
        choices.EVERYTHING,
    ),
    Fault("settings that never take effect", functions.a_published_version_serves, _drop_release),
    Fault(
        "a route bypasses the alias",
        http.requests_reach_the_functions,
        _put("SubmitIntegration", "IntegrationUri", {"Fn::GetAtt": ["SubmitFunction", "Arn"]}),
    ),
    Fault(
        "callbacks stop after sixteen hops",
        functions.long_waits_are_not_stopped_as_endless_loops,
        _drop("CallbackFunction", "RecursiveLoop"),
    ),
    Fault(
        "no rollback on alarm",
        functions.a_bad_version_is_rolled_back,
        _put("StatusFunction", "DeploymentPreference", {}),
    ),
    Fault(
        "callers roll a deployment back",
        functions.a_bad_version_is_rolled_back,
        _put("WorkerFunction", "DeploymentPreference", {"Alarms": [{"Ref": "WorkerErrorsAlarm"}]}),
    ),
    Fault(
        "one failure rolls a deployment back",
        operation.alarms_are_as_listed,
        _part_of_alarm("SubmitRollbackAlarm", "rate", "Expression", "100 * errors / invocations"),
    ),
    Fault(
        "what callers cause rolls a deployment back",
        operation.alarms_are_as_listed,
        _part_of_alarm(
            "WorkerRollbackAlarm",
            "rate",
            "Expression",
            "IF(errors >= 3, 100 * errors / invocations, 0)",
        ),
    ),
    Fault(
        "the old version's failures roll the new one back",
        operation.alarms_are_as_listed,
        _any_version("CallbackRollbackAlarm", "errors"),
    ),
    Fault(
        "the failures of a version stop the next one",
        operation.alarms_are_as_listed,
        _drop("StatusRollbackAlarm", "AlarmName"),
    ),
    Fault(
        "failures of long invocations are not alarmed",
        operation.alarms_are_as_listed,
        _put("WorkerErrorsAlarm", "EvaluationPeriods", 1),
    ),
    Fault(
        "work that does not stop is not alarmed",
        operation.alarms_are_as_listed,
        _drop_resource("WorkNotStoppedAlarm"),
    ),
    Fault(
        "the worker's alarm counts what callers cause",
        operation.alarms_are_as_listed,
        _part_of_alarm("WorkerErrorsAlarm", "own", "Expression", "errors"),
    ),
    Fault(
        "lost callbacks are not alarmed",
        operation.alarms_are_as_listed,
        _drop_resource("CallbacksDroppedAlarm"),
    ),
    Fault(
        "targets that cannot be invoked are not alarmed",
        operation.alarms_are_as_listed,
        _drop_resource("TargetsUnavailableAlarm"),
    ),
    Fault(
        "an alarm on all errors of targets",
        operation.alarms_are_as_listed,
        _put(
            "TargetsUnavailableAlarm",
            "Dimensions",
            [{"Name": "service", "Value": {"Ref": "AWS::StackName"}}],
        ),
    ),
    Fault(
        "messages that were received often are not alarmed",
        operation.alarms_are_as_listed,
        _part_of_alarm("DispatchAgeAlarm", "oldest", "Expression", "FILL(age, 0)"),
    ),
    Fault(
        "the callback function is not in the VPC",
        functions.private_networks_are_reached_through_the_chosen_vpc,
        _drop("CallbackFunction", "VpcConfig"),
        choices.EVERYTHING,
    ),
    Fault(
        "private networks without a VPC",
        functions.private_networks_are_reached_through_the_chosen_vpc,
        _drop_rule("NetworksAreReached"),
        choices.JWT | {"CallbackAllowedNetworks": "10.20.0.0/16"},
    ),
    Fault(
        "the function's own code may change networks",
        permissions.conditions_are_as_listed,
        _allow_network_changes_by_code,
        choices.EVERYTHING,
    ),
    Fault(
        "submit may change networks",
        permissions.roles_allow_what_is_listed,
        _allow("SubmitRole", ["ec2:CreateNetworkInterface"], "*"),
    ),
    Fault(
        "submit is deployed first",
        functions.readers_are_deployed_before_the_worker_and_the_worker_before_submit,
        _drop_order_of_deployment("SubmitFunction"),
    ),
    Fault(
        "the worker is deployed before those that read what it writes",
        functions.readers_are_deployed_before_the_worker_and_the_worker_before_submit,
        _drop_order_of_deployment("WorkerFunction"),
    ),
]
