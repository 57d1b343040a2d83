"""Operation: names, logs, alarms, the dashboard."""

import json
import re
from collections.abc import Iterator

from .. import alarms
from ..resources import (
    ALARM,
    API,
    DASHBOARD,
    DEPLOYMENT_APPLICATION,
    DEPLOYMENT_GROUP,
    FUNCTION,
    FUNCTIONS,
    LAYER,
    LOG_GROUP,
    QUEUE,
    QUEUES,
    ROLE,
    SECRET,
    TABLE,
    alias,
    attribute,
)
from ..runbook import RUNBOOK_LINK, sections
from ..stack import Stack

# Properties that would give a resource a fixed name, which two stacks of an account cannot share.
_NAMES = re.compile(
    r"^((Table|Queue|Role|Function|Layer|LogGroup|Alarm|Dashboard|Policy|Application"
    r"|DeploymentGroup)?Name)$"
)
_NAME_KINDS = {
    TABLE, QUEUE, FUNCTION, LAYER, ROLE, LOG_GROUP, SECRET, ALARM, DASHBOARD, API,
    DEPLOYMENT_APPLICATION, DEPLOYMENT_GROUP,
}  # fmt: skip
# The functions check these at start.
_FREE_PARAMETERS = {"CallbackAllowedNetworks", "CallbackRootCertificates"}
_REFERENCES = {"ApplicationName"}  # of a deployment group, to its application


def no_resource_has_a_fixed_name(stack: Stack) -> Iterator[str]:
    for resource in stack.resources.values():
        for name, value in resource.properties.items():
            if resource.kind not in _NAME_KINDS or not _NAMES.match(name) or name in _REFERENCES:
                continue
            if "AWS::StackName" not in str(value):
                yield f"{resource.name} has the name {value} in every stack"


def every_parameter_is_described(stack: Stack) -> Iterator[str]:
    for name, declared in stack.translated["Parameters"].items():
        if not declared.get("Description", "").endswith("."):
            yield f"{name} has no description"
        bounds = {"AllowedValues", "AllowedPattern", "MinValue"} & declared.keys()
        if not bounds and name not in _FREE_PARAMETERS:
            yield f"{name} accepts any value"


def logs_have_the_chosen_level_and_retention(stack: Stack) -> Iterator[str]:
    for function in FUNCTIONS:
        logging = stack[f"{function}Function"]["LoggingConfig"]
        if (
            logging.get("LogGroup") != {"Ref": f"{function}LogGroup"}
            or logging.get("LogFormat") != "JSON"
        ):
            yield f"{function}Function does not log as JSON to a group of this stack"
        if logging.get("ApplicationLogLevel") != stack.parameters["LogLevel"]:
            yield f"{function}Function does not have the chosen log level"
        if logging.get("SystemLogLevel") != "WARN":
            yield f"{function}Function does not keep exactly the failures of Lambda's own lines"
    for group in stack.of(LOG_GROUP):
        if group["RetentionInDays"] != stack.parameters["LogRetentionInDays"]:
            yield f"{group.name} does not have the chosen retention"
    if len(stack.of(LOG_GROUP)) != len(FUNCTIONS) + 1:
        yield "there are other log groups than expected"


def every_alarm_links_to_the_runbook(stack: Stack) -> Iterator[str]:
    written, linked = sections(), set()
    for alarm in stack.of(ALARM):
        link = RUNBOOK_LINK.search(alarm["AlarmDescription"] or "")
        if link is None or link[1] not in written:
            yield f"{alarm.name} links to no section of the runbook"
        else:
            linked.add(link[1])
    for section in sorted(written - linked):
        yield f"no alarm links to the runbook's section {section}"


def alarms_are_as_listed(stack: Stack) -> Iterator[str]:
    expected = alarms.expected(stack.parameters)
    given = {alarm.name: alarm.properties for alarm in stack.of(ALARM)}
    for name in sorted(given.keys() | expected.keys()):
        alarm, wanted = given.get(name, {}), expected.get(name, {})
        for part in sorted((alarm.keys() | wanted.keys()) - {"AlarmDescription"}):
            if alarm.get(part) != wanted.get(part):
                yield f"{name} has {part} {alarm.get(part)} instead of {wanted.get(part)}"


def the_dashboard_shows_every_alarm(stack: Stack) -> Iterator[str]:
    [dashboard] = stack.of(DASHBOARD)
    body = dashboard["DashboardBody"]["Fn::Sub"]
    shown = json.loads(body)["widgets"]
    listed = [
        alarm
        for widget in shown
        if widget["type"] == "alarm"
        for alarm in widget["properties"]["alarms"]
    ]
    if sorted(listed) != sorted(f"${{{alarm.name}.Arn}}" for alarm in stack.of(ALARM)):
        yield "the dashboard does not show every alarm"
    # The grid has 24 columns.
    if any(widget["x"] + widget["width"] > 24 for widget in shown):
        yield "a widget of the dashboard exceeds the grid"


def a_parent_stack_gets_every_arn(stack: Stack) -> Iterator[str]:
    expected = {"TableArn": attribute("Table"), "WebhookSecretArn": {"Ref": "WebhookSecret"}}
    for names in QUEUES.items():
        for queue in (names[0], names[1][0]):
            expected[f"{queue}Url"] = {"Ref": queue}
            expected[f"{queue}Arn"] = attribute(queue)
    for function in FUNCTIONS:
        expected[f"{function}FunctionArn"] = alias(function)
        for kind in ("Role", "LogGroup"):
            expected[f"{function}{kind}Arn"] = attribute(f"{function}{kind}")
    for name, value in expected.items():
        given = stack.outputs.get(name, {}).get("Value")
        if given != value:
            yield f"the output {name} is {given}"
    for name, output in stack.outputs.items():
        if not output.get("Description"):
            yield f"the output {name} has no description"
