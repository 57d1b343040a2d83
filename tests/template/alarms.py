"""All alarms with their thresholds. An alarm that differs, or is not listed here, fails."""

from .resources import FUNCTIONS, attribute
from .stack import Json, Parameters

_SERVICE: Json = {"Ref": "AWS::StackName"}


def expected(parameters: Parameters) -> dict[str, Json]:
    """Every alarm's properties by its name, without its description."""
    topic = parameters["AlarmTopicArn"]
    # Missing data means that nothing happened.
    shared = {"TreatMissingData": "notBreaching"} | (
        {"AlarmActions": [topic], "OKActions": [topic]} if topic else {}
    )
    return {name: alarm | shared for name, alarm in _alarms(parameters).items()}


def _alarms(parameters: Parameters) -> dict[str, Json]:
    too_old = parameters["DispatchAgeAlarmSeconds"]
    too_many_errors = parameters["FunctionErrorsAlarm"]
    too_many_responses = parameters["ServerErrorsAlarm"]
    rollbacks = {
        f"{function}RollbackAlarm": _rollback(function, parameters) for function in FUNCTIONS
    }
    return {
        "DispatchDeadLettersAlarm": _dead_letters("DispatchDeadLetterQueue") | _above(0),
        "CallbackDeadLettersAlarm": _dead_letters("CallbackDeadLetterQueue") | _above(0),
        "DispatchAgeAlarm": _longest_wait() | _above(too_old, periods=2) | {"DatapointsToAlarm": 1},
        "CallbackAgeAlarm": _age("CallbackQueue") | _above(1800, periods=5),
        "SubmitErrorsAlarm": _errors("SubmitFunction") | _from(too_many_errors) | _any_of(3),
        "StatusErrorsAlarm": _errors("StatusFunction") | _from(too_many_errors) | _any_of(3),
        "WorkerErrorsAlarm": _errors_without_callers() | _from(too_many_errors) | _any_of(35),
        "CallbackErrorsAlarm": _errors("CallbackFunction") | _from(too_many_errors) | _any_of(4),
        "WorkNotStoppedAlarm": _one("Sum", "Ferry", "CallerCausedExits", service=_SERVICE)
        | _from(too_many_errors)
        | _any_of(35),
        "ThrottlesAlarm": _throttles() | _above(0),
        "GatewayErrorsAlarm": _one(
            "Sum", "AWS/ApiGateway", "5xx", ApiId={"Ref": "Api"}, Stage="$default"
        )
        | _from(too_many_responses),
        "CallbacksExhaustedAlarm": _callbacks("exhausted"),
        "CallbacksDroppedAlarm": _callbacks("dropped"),
        "TargetsUnavailableAlarm": _targets("TARGET_UNAVAILABLE"),
    } | rollbacks


def _above(threshold: Json, periods: int = 1) -> Json:
    return {
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": threshold,
        "EvaluationPeriods": periods,
    }


def _from(threshold: Json) -> Json:
    return {
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": threshold,
        "EvaluationPeriods": 1,
    }


def _any_of(periods: int) -> Json:
    """More periods than the longest invocation takes: its metrics have the time of its start."""
    return {"EvaluationPeriods": periods, "DatapointsToAlarm": 1}


def _dead_letters(queue: str) -> Json:
    name = attribute(queue, "QueueName")
    visible = _metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", QueueName=name)
    received = _metric("AWS/SQS", "NumberOfMessagesReceived", QueueName=name)
    return _several(
        _part("visible", "Maximum", visible),
        _part("received", "Sum", received),
        {
            "Id": "dead",
            "Label": "Dead letters",
            "Expression": "FILL(visible, 0) + FILL(received, 0)",
        },
    )


def _age(queue: str) -> Json:
    return _one(
        "Maximum",
        "AWS/SQS",
        "ApproximateAgeOfOldestMessage",
        QueueName=attribute(queue, "QueueName"),
    )


def _longest_wait() -> Json:
    age = _metric(
        "AWS/SQS",
        "ApproximateAgeOfOldestMessage",
        QueueName=attribute("DispatchQueue", "QueueName"),
    )
    return _several(
        _part("age", "Maximum", age, period=300),
        _part(
            "unclaimed", "Maximum", _metric("Ferry", "UnclaimedTime", service=_SERVICE), period=300
        ),
        {
            "Id": "oldest",
            "Label": "Longest wait, s",
            "Expression": "MAX([FILL(age, 0), FILL(unclaimed, 0) / 1000])",
        },
    )


def _callbacks(outcome: str) -> Json:
    return (
        _one("Sum", "Ferry", "Callbacks", service=_SERVICE, outcome=outcome)
        | _above(0)
        | {"Period": 300}
    )


def _targets(code: str) -> Json:
    return (
        _one("Sum", "Ferry", "TargetErrors", service=_SERVICE, code=code)
        | _above(0)
        | {"Period": 300}
    )


def _errors(function: str) -> Json:
    return _one(
        "Sum", "AWS/Lambda", "Errors", FunctionName={"Ref": function}, Resource=_live(function)
    )


def _errors_without_callers() -> Json:
    function = "WorkerFunction"
    errors = _metric(
        "AWS/Lambda", "Errors", FunctionName={"Ref": function}, Resource=_live(function)
    )
    return _several(
        _part("errors", "Sum", errors),
        _part("exits", "Sum", _metric("Ferry", "CallerCausedExits", service=_SERVICE)),
        {"Id": "own", "Label": "Errors", "Expression": "errors - FILL(exits, 0)"},
    )


def _rollback(function: str, parameters: Parameters) -> Json:
    """The alarm on the version that is being deployed, which its release names."""
    release, name = parameters["Release"], f"{function}Function"
    version = attribute(f"{name}Version{release}", "Version")

    def of_version(metric: str) -> Json:
        return _metric(
            "AWS/Lambda",
            metric,
            FunctionName={"Ref": name},
            Resource=_live(name),
            ExecutedVersion=version,
        )

    parts = [
        _part(metric.lower(), "Sum", of_version(metric), period=300)
        for metric in ("Errors", "Invocations")
    ]
    expression = "IF(errors >= 3, 100 * errors / invocations, 0)"
    if function == "Worker":
        expression = (
            "IF(errors - FILL(exits, 0) >= 3, 100 * (errors - FILL(exits, 0)) / invocations, 0)"
        )
        exits = _metric("Ferry", "CallerCausedExits", service=_SERVICE, version=version)
        parts.append(_part("exits", "Sum", exits, period=300))
    return (
        _several(*parts, {"Id": "rate", "Label": "Failed invocations, %", "Expression": expression})
        | _from(parameters["RollbackErrorPercent"])
        | (_any_of(7) if function == "Worker" else {})
        | {"AlarmName": {"Fn::Sub": f"${{AWS::StackName}}-{function.lower()}-rollback-{release}"}}
    )


def _live(function: str) -> Json:
    # Routes and event sources target the alias.
    return {"Fn::Sub": f"${{{function}}}:live"}


def _throttles() -> Json:
    return _several(
        *(
            _part(
                name.lower(),
                "Sum",
                _metric("AWS/Lambda", "Throttles", FunctionName={"Ref": f"{name}Function"}),
            )
            for name in FUNCTIONS
        ),
        {"Id": "throttles", "Label": "Throttles", "Expression": "SUM(METRICS())"},
    )


def _one(statistic: str, namespace: str, name: str, **dimensions: Json) -> Json:
    return _metric(namespace, name, **dimensions) | {"Statistic": statistic, "Period": 60}


def _several(*metrics: Json) -> Json:
    return {"Metrics": list(metrics)}


def _part(identifier: str, statistic: str, metric: Json, period: int = 60) -> Json:
    """A metric of an expression."""
    return {
        "Id": identifier,
        "ReturnData": False,
        "MetricStat": {"Metric": metric, "Period": period, "Stat": statistic},
    }


def _metric(namespace: str, name: str, **dimensions: Json) -> Json:
    named = [{"Name": dimension, "Value": value} for dimension, value in dimensions.items()]
    return {"Namespace": namespace, "MetricName": name, "Dimensions": named}
