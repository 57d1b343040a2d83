"""Responses of AWS to what neither moto nor the bundle serves, written from botocore's models. A
fault of `faults`, named in SMOKE_FAULT, changes one of them."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .template import template

Json = Any
Respond = Callable[[Json, str], Json]
TOPIC = "arn:aws:sns:eu-central-1:123456789012:alarms"


class Denied(Exception):
    """AWS refuses the call."""


def replaces(operation: str, fault: str) -> bool:
    """Whether a fault changes what the bundle or moto would respond."""
    return (operation, fault) in (
        ("DescribeTimeToLive", "time to live is off"),
        ("CreateChangeSet", "the second stack may not be made"),
    )


def response(service: str, operation: str, params: Json, fault: str) -> Json:
    found = _RESPONSES.get((service, operation))
    if found is None:
        sys.exit(f"no response is written for {service} {operation}")
    return found(params, fault)


def _updates() -> Path:
    return Path(os.environ["SMOKE_CALLS"] + "-updates")


def _update(params: Json, fault: str) -> Json:
    """Nothing here deploys and rolls back as CodeDeploy does: only the status changes."""
    assert {"ParameterKey": "CallbackRootCertificates", "ParameterValue": "broken"} in params[
        "Parameters"
    ]
    _updates().touch()
    return {"StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/ferry/1"}


def _cancel_update(params: Json, fault: str) -> Json:
    _updates().unlink()
    return {}


def stack_status(status: str) -> str:
    """In progress when it is first read after an update, then ended."""
    if not _updates().exists():
        return status
    if _updates().stat().st_size == 0:
        _updates().write_text("read")
        return "UPDATE_IN_PROGRESS"
    stays = os.environ.get("SMOKE_FAULT") == "a bad release stays"
    return "UPDATE_COMPLETE" if stays else "UPDATE_ROLLBACK_COMPLETE"


def _deny(params: Json, fault: str) -> Json:
    raise Denied


def _alarms() -> list[str]:
    resources = template()["Resources"]
    return [name for name, of in resources.items() if of["Type"] == "AWS::CloudWatch::Alarm"]


def _stack_resources(params: Json, fault: str) -> Json:
    return {
        "StackResourceSummaries": [
            {
                "LogicalResourceId": name,
                "PhysicalResourceId": f"{params['StackName']}-{name}-1ABC",
                "ResourceType": "AWS::CloudWatch::Alarm",
                "ResourceStatus": "CREATE_COMPLETE",
                "LastUpdatedTimestamp": 0,
            }
            for name in _alarms()
        ]
    }


def _describe_alarms(params: Json, fault: str) -> Json:
    names = params["AlarmNames"]
    alarms: list[Json] = [
        {"AlarmName": name, "StateValue": "OK", "AlarmActions": [TOPIC], "OKActions": [TOPIC]}
        for name in names
    ]
    match fault:
        case "an alarm is on":
            alarms[0]["StateValue"] = "ALARM"
        case "an alarm is missing":
            del alarms[0]
        case "an alarm notifies no topic":
            del alarms[1]["AlarmActions"]
        case "the end of an alarm notifies another topic":
            alarms[1]["OKActions"] = [f"{TOPIC}-other"]
        case "the alarms cannot be read":
            raise Denied
    return {"MetricAlarms": alarms}


def _metric(params: Json, fault: str) -> Json:
    """From the bundle's own lines in the embedded metric format."""
    if params["Namespace"] == "AWS/DynamoDB":
        # The log has no units. A small operation has four.
        units = 8.0 if fault == "writes repeat" else 4.0
        return {"Datapoints": [{"Sum": units * _submits_since(float(params["StartTime"]))}]}
    if fault == "metrics do not arrive":
        return {"Datapoints": []}
    dimensions = {each["Name"]: each["Value"] for each in params["Dimensions"]}
    lines = [json.loads(line) for line in _log_lines()]
    values = [
        line[params["MetricName"]]
        for line in lines
        if params["MetricName"] in line
        and all(line.get(name) == value for name, value in dimensions.items())
    ]
    return {"Datapoints": [{"Sum": float(sum(values))}] if values else []}


def _submits_since(seconds: float) -> float:
    lines = [json.loads(line) for line in _log_lines()]
    return sum(
        line["Submits"]
        for line in lines
        if line.get("outcome") == "accepted"
        and "Submits" in line
        and line["_aws"]["Timestamp"] >= seconds * 1000
    )


def _log_lines() -> list[str]:
    with open(os.environ["SMOKE_LOG"]) as log:
        return [line.rstrip("\n") for line in log if line.startswith("{")]


def _filter_log_events(params: Json, fault: str) -> Json:
    """All functions of the bundle write to one log."""
    text = params["filterPattern"].strip('"')
    if fault == "a log cannot be read" and "/vendedlogs/" in params["logGroupName"]:
        raise Denied
    if fault == "an access log has the query" and "/vendedlogs/" in params["logGroupName"]:
        return {"events": [{"message": f'{{"path":"/{text}"}}'}]}
    messages = [line for line in _log_lines() if text in line]
    if fault == "the cancel stays unnoticed":
        messages = [each for each in messages if "abandoned" not in each]
    if fault == "no function reads the dead letters":
        messages = [each for each in messages if "malformed" not in each]
    if fault == "the visibility is not extended" and text == "visibility was not extended":
        messages = ["the message's visibility was not extended"]
    if fault == "Lambda logs each start" and text == "platform.start":
        messages = ['{"type":"platform.start"}']
    if fault == "the log is text" and messages:
        messages = ["2026-11-30 INFO submitted"]
    return {"events": [{"message": each} for each in messages]}


def _log_groups(params: Json, fault: str) -> Json:
    group: Json = {"logGroupName": params["logGroupNamePrefix"], "retentionInDays": 30}
    if fault == "a log is kept forever":
        del group["retentionInDays"]
    return {"logGroups": [group]}


def _simulate(params: Json, fault: str) -> Json:
    allowed = {"dynamodb:GetItem"}
    if fault == "a role may scan" and params["PolicySourceArn"].endswith("worker"):
        allowed.add("dynamodb:Scan")
    if fault == "a role may not read":
        allowed.clear()
    (action,), (resource,) = params["ActionNames"], params["ResourceArns"]
    decision = "allowed" if action in allowed else "implicitDeny"
    return {
        "EvaluationResults": [
            {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": decision}
        ]
    }


def _alias(params: Json, fault: str) -> Json:
    found: Json = {"Name": params["Name"], "FunctionVersion": "7", "RoutingConfig": {}}
    if fault == "a canary has not ended":
        found["RoutingConfig"] = {"AdditionalVersionWeights": {"8": 0.1}}
    return found


def _table(params: Json, fault: str) -> Json:
    # AWS describes no encryption with the key that it owns.
    encryption = {} if fault == "the table has no key" else {"SSEType": "KMS"}
    is_protected = fault != "the table may be deleted"
    return {"Table": {"DeletionProtectionEnabled": is_protected, "SSEDescription": encryption}}


def _time_to_live(params: Json, fault: str) -> Json:
    return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}


def _backups(params: Json, fault: str) -> Json:
    status = "DISABLED" if fault == "point-in-time recovery is off" else "ENABLED"
    return {
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": status},
        }
    }


def _quota(params: Json, fault: str) -> Json:
    return {"AccountLimit": {"ConcurrentExecutions": 10 if fault == "a new account" else 1000}}


def _recursion(params: Json, fault: str) -> Json:
    return {"RecursiveLoop": "Terminate" if fault == "loops are ended" else "Allow"}


def _dashboard(params: Json, fault: str) -> Json:
    table = "other" if fault == "a dashboard of another stack" else "ferry"
    metrics = [["AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", table]]
    widgets = [{"type": "alarm"}, {"type": "metric", "properties": {"metrics": metrics}}]
    body = json.dumps({"widgets": widgets})
    return {"DashboardName": params["DashboardName"], "DashboardBody": body}


def _traces(params: Json, fault: str) -> Json:
    names = ["ferry-submit", "ferry-worker"]
    if fault != "a trace ends at the queue":
        names.append("ferry-callback")
    segments = [{"Id": name, "Document": f'{{"name":"{name}"}}'} for name in names]
    return {"Traces": [{"Id": params["TraceIds"][0], "Segments": segments}]}


_RESPONSES: dict[tuple[str, str], Respond] = {
    ("cloudformation", "CancelUpdateStack"): _cancel_update,
    ("cloudformation", "CreateChangeSet"): _deny,
    ("cloudformation", "ListStackResources"): _stack_resources,
    ("cloudformation", "UpdateStack"): _update,
    ("cloudwatch", "DescribeAlarms"): _describe_alarms,
    ("cloudwatch", "GetDashboard"): _dashboard,
    ("cloudwatch", "GetMetricStatistics"): _metric,
    ("dynamodb", "DescribeContinuousBackups"): _backups,
    ("dynamodb", "DescribeTable"): _table,
    ("dynamodb", "DescribeTimeToLive"): _time_to_live,
    ("iam", "SimulatePrincipalPolicy"): _simulate,
    ("lambda", "GetAccountSettings"): _quota,
    ("lambda", "GetAlias"): _alias,
    ("lambda", "GetFunctionConfiguration"): lambda params, fault: {
        "State": "Active",
        "Runtime": "provided.al2023",
    },
    ("lambda", "GetFunctionRecursionConfig"): _recursion,
    ("logs", "DescribeLogGroups"): _log_groups,
    ("logs", "FilterLogEvents"): _filter_log_events,
    ("sts", "GetCallerIdentity"): lambda params, fault: {
        "Account": "123456789012",
        "UserId": "AROAEXAMPLE:session",
    },
    ("xray", "BatchGetTraces"): _traces,
}
