"""What an operator relies on: names, logs, alarms, the dashboard."""

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
    LOG_GROUP,
    QUEUE,
    ROLE,
    SECRET,
    TABLE,
)
from ..runbook import RUNBOOK_LINK, sections
from ..stack import Stack

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


def logs_are_written_and_kept_as_asked_for(stack: Stack) -> Iterator[str]:
    for function in FUNCTIONS:
        logging = stack[f"{function}Function"]["LoggingConfig"]
        if logging.get("LogGroup") != {"Ref": f"{function}LogGroup"} or logging.get("LogFormat") != "JSON":
            yield f"{function}Function does not log as JSON to a group of this stack"
        if logging.get("ApplicationLogLevel") != stack.parameters["LogLevel"]:
            yield f"{function}Function logs from another level on than was asked for"
        if logging.get("SystemLogLevel") != "WARN":
            yield f"{function}Function has Lambda log what went well, or not what went wrong"
    for group in stack.of(LOG_GROUP):
        if group["RetentionInDays"] != stack.parameters["LogRetentionInDays"]:
            yield f"{group.name} is kept for ever, or otherwise than was asked for"
    if len(stack.of(LOG_GROUP)) != len(FUNCTIONS) + 1:
        yield "there are other log groups than expected"


def every_alarm_has_a_runbook(stack: Stack) -> Iterator[str]:
    written, named = sections(), set()
    for alarm in stack.of(ALARM):
        link = RUNBOOK_LINK.search(alarm["AlarmDescription"] or "")
        if link is None or link[1] not in written:
            yield f"{alarm.name} names no section of the runbook"
        else:
            named.add(link[1])
    for section in sorted(written - named):
        yield f"no alarm leads to the runbook's section {section}"


def what_goes_wrong_is_alarmed(stack: Stack) -> Iterator[str]:
    expected = alarms.expected(stack.parameters)
    given = {alarm.name: alarm.properties for alarm in stack.of(ALARM)}
    for name in sorted(given.keys() | expected.keys()):
        alarm, wanted = given.get(name, {}), expected.get(name, {})
        for part in sorted((alarm.keys() | wanted.keys()) - {"AlarmDescription"}):
            if alarm.get(part) != wanted.get(part):
                yield f"{name} has {part} {alarm.get(part)} and not {wanted.get(part)}"


def the_dashboard_shows_every_alarm(stack: Stack) -> Iterator[str]:
    [dashboard] = stack.of(DASHBOARD)
    body = dashboard["DashboardBody"]["Fn::Sub"]
    shown = json.loads(body)["widgets"]
    listed = [alarm for widget in shown if widget["type"] == "alarm" for alarm in widget["properties"]["alarms"]]
    if sorted(listed) != sorted(f"${{{alarm.name}.Arn}}" for alarm in stack.of(ALARM)):
        yield "the dashboard does not show every alarm"
    # The grid has 24 columns.
    if any(widget["x"] + widget["width"] > 24 for widget in shown):
        yield "a part of the dashboard is beyond its edge"
