"""What an operator relies on: names, logs, alarms, the dashboard."""

import json
import re
from collections.abc import Iterator

from ..resources import (
    ALARM,
    API,
    DASHBOARD,
    DEPLOYMENT_APPLICATION,
    DEPLOYMENT_GROUP,
    FUNCTION,
    FUNCTIONS,
    LOG_GROUP,
    QUEUE,
    QUEUES,
    ROLE,
    SECRET,
    TABLE,
    attribute,
)
from ..runbook import RUNBOOK_LINK, sections
from ..stack import Json, Resource, Stack

# Properties that would give a resource a name of its own, which two stacks of an account could not both have.
_NAMES = re.compile(r"^((Table|Queue|Role|Function|LogGroup|Alarm|Dashboard|Policy|Application|DeploymentGroup)?Name)$")
_NAME_KINDS = {
    TABLE, QUEUE, FUNCTION, ROLE, LOG_GROUP, SECRET, ALARM, DASHBOARD, API, DEPLOYMENT_APPLICATION, DEPLOYMENT_GROUP,
}  # fmt: skip
# Judged by the functions when they start.
_FREE_PARAMETERS = {"CallbackAllowedNetworks", "CallbackRootCertificates"}
_REFERENCES = {"ApplicationName"}  # of a deployment group, to its application


def nothing_has_a_name_of_its_own(stack: Stack) -> Iterator[str]:
    for resource in stack.resources.values():
        for name, value in resource.properties.items():
            if resource.kind not in _NAME_KINDS or not _NAMES.match(name) or name in _REFERENCES:
                continue
            if "AWS::StackName" not in str(value):
                yield f"{resource.name} is called {value} in every stack"


def every_parameter_is_described(stack: Stack) -> Iterator[str]:
    for name, declared in stack.translated["Parameters"].items():
        if not declared.get("Description", "").endswith("."):
            yield f"{name} has no description"
        bounds = {"AllowedValues", "AllowedPattern", "MinValue"} & declared.keys()
        if not bounds and name not in _FREE_PARAMETERS:
            yield f"{name} takes anything"


def logs_are_kept_for_a_while(stack: Stack) -> Iterator[str]:
    for function in FUNCTIONS:
        logging = stack[f"{function}Function"]["LoggingConfig"]
        if logging.get("LogGroup") != {"Ref": f"{function}LogGroup"} or logging.get("LogFormat") != "JSON":
            yield f"{function}Function does not log as JSON to a group of this stack"
    for group in stack.of(LOG_GROUP):
        if group["RetentionInDays"] != stack.parameters["LogRetentionInDays"]:
            yield f"{group.name} is kept for ever, or otherwise than was asked for"
    if len(stack.of(LOG_GROUP)) != len(FUNCTIONS) + 1:
        yield "there are other log groups than expected"


def every_alarm_has_a_runbook(stack: Stack) -> Iterator[str]:
    written, named = sections(), set()
    topic = stack.parameters["AlarmTopicArn"]
    for alarm in stack.of(ALARM):
        link = RUNBOOK_LINK.search(alarm["AlarmDescription"] or "")
        if link is None or link[1] not in written:
            yield f"{alarm.name} names no section of the runbook"
        else:
            named.add(link[1])
        for actions in ("AlarmActions", "OKActions"):
            if alarm[actions] != ([topic] if topic else None):
                yield f"{alarm.name} is not told to whom it was asked to be"
        if alarm["TreatMissingData"] != "notBreaching":
            yield f"{alarm.name} takes silence for trouble"
    for section in sorted(written - named):
        yield f"no alarm leads to the runbook's section {section}"


def what_goes_wrong_is_alarmed(stack: Stack) -> Iterator[str]:
    watched = {(metric, str(value)) for alarm in stack.of(ALARM) for metric, value in _metrics(alarm)}
    wanted: list[tuple[str, Json]] = []
    for queue, (dead_letters, _) in QUEUES.items():
        wanted.append(("AWS/SQS ApproximateAgeOfOldestMessage", attribute(queue, "QueueName")))
        wanted.append(("AWS/SQS ApproximateNumberOfMessagesVisible", attribute(dead_letters, "QueueName")))
    for function in FUNCTIONS:
        wanted.append(("AWS/Lambda Errors", {"Fn::Sub": f"${{{function}Function}}:live"}))
        wanted.append(("AWS/Lambda Throttles", {"Ref": f"{function}Function"}))
    wanted.append(("AWS/ApiGateway 5xx", {"Ref": "Api"}))
    wanted.append(("Ferry Callbacks", {"Ref": "AWS::StackName"}))
    wanted.append(("Ferry Callbacks", "exhausted"))
    for metric, value in wanted:
        if (metric, str(value)) not in watched:
            yield f"nobody is told of {metric} of {value}"


def _metrics(alarm: Resource) -> Iterator[tuple[str, Json]]:
    single = [alarm.properties] if alarm["MetricName"] else []
    several = [metric["MetricStat"]["Metric"] for metric in alarm["Metrics"] or [] if "MetricStat" in metric]
    for metric in single + several:
        for dimension in metric["Dimensions"]:
            yield f"{metric['Namespace']} {metric['MetricName']}", dimension["Value"]


def the_dashboard_shows_every_alarm(stack: Stack) -> Iterator[str]:
    [dashboard] = stack.of(DASHBOARD)
    body = dashboard["DashboardBody"]["Fn::Sub"]
    shown = json.loads(body)["widgets"]
    alarms = [alarm for widget in shown if widget["type"] == "alarm" for alarm in widget["properties"]["alarms"]]
    if sorted(alarms) != sorted(f"${{{alarm.name}.Arn}}" for alarm in stack.of(ALARM)):
        yield "the dashboard does not show every alarm"
    # The grid has 24 columns.
    if any(widget["x"] + widget["width"] > 24 for widget in shown):
        yield "a part of the dashboard is beyond its edge"
