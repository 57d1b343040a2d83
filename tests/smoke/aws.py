"""The AWS CLI that the script finds on its path: the real one, which parses and validates every
call, formats responses and follows pages, without AWS.

Calls that moto or the bundle serve go there. The others get a response of `responses`, written from
the CLI's model of the operation and validated by it, so that a member that AWS does not return is
an error. Each call is appended to the file SMOKE_CALLS.
"""

import json
import os
import sys
import urllib.request
from typing import Any

import awscli.clidriver

# Version 2 of the CLI has a botocore of its own, which is not botocore's latest.
try:
    from awscli.botocore.awsrequest import AWSResponse
    from awscli.botocore.validate import ParamValidator
except ImportError:
    from botocore.awsrequest import AWSResponse
    from botocore.validate import ParamValidator

from . import responses
from .template import reduced, second_stack

# Served by moto or by the bundle.
_SERVED = {
    "cloudformation": None,
    "dynamodb": {"GetItem", "DescribeTimeToLive"},
    "secretsmanager": None,
    "sqs": None,
}
_NOT_SERVED = {"CancelUpdateStack", "ListStackResources", "UpdateStack"}


def _sent_as_json(operation: str, params: dict[str, Any]) -> Any:
    """For versions that speak SQS's older protocol, which the local queues do not have."""
    request = urllib.request.Request(
        os.environ["AWS_ENDPOINT_URL_SQS"],
        json.dumps(params).encode(),
        {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"AmazonSQS.{operation}"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def _as_read(value: Any, shape: Any) -> Any:
    """What a version reads of a response that is newer than its model."""
    if shape.type_name == "structure":
        known = shape.members
        return {name: _as_read(of, known[name]) for name, of in value.items() if name in known}
    if shape.type_name == "list":
        return [_as_read(each, shape.member) for each in value]
    return value


def main() -> int:
    driver = awscli.clidriver.create_clidriver()
    emitter = driver.session.get_component("event_emitter")
    call: dict[str, Any] = {}

    def remember(params: dict[str, Any], model: Any, **_: Any) -> None:
        if "TemplateBody" in params:
            params["TemplateBody"] = json.dumps(
                reduced(params["TemplateBody"], os.environ["SMOKE_RECEIVER"])
            )
        call["params"] = params

    def respond(model: Any, **_: Any) -> tuple[AWSResponse, Any] | None:
        # Called after botocore has validated the parameters.
        service, operation = model.service_model.service_name, model.name
        with open(os.environ["SMOKE_CALLS"], "a") as calls:
            calls.write(f"{service} {operation}\n")
        served = _SERVED.get(service, set())
        fault = os.environ.get("SMOKE_FAULT", "")
        is_served = served is None or operation in served
        if is_served and operation not in _NOT_SERVED and not responses.replaces(operation, fault):
            if service == "sqs" and model.service_model.metadata["protocol"] == "query":
                return AWSResponse("", 200, {}, None), _sent_as_json(operation, call["params"])
            return None
        try:
            written = responses.response(service, operation, call["params"], fault)
        except responses.Denied:
            error = {"Code": "AccessDeniedException", "Message": f"may not call {operation}"}
            return AWSResponse("", 400, {}, None), {"Error": error}
        if os.environ["SMOKE_CLI"] == "old":
            written = _as_read(written, model.output_shape)
        report = ParamValidator().validate(written, model.output_shape)
        if report.has_errors():
            sys.exit(f"the response of {service} {operation}: {report.generate_report()}")
        return AWSResponse("", 200, {}, None), written

    def complete(parsed: dict[str, Any], **_: Any) -> None:
        for stack in parsed.get("Stacks", []):
            if not stack["StackName"].endswith("-smoke"):
                stack["StackStatus"] = responses.stack_status(stack["StackStatus"])
            # moto forgets description and outputs of a stack that a change set made.
            elif "Description" not in stack:
                stack["Description"] = second_stack()["Description"]
                url = {"OutputKey": "ReceiverUrl", "OutputValue": os.environ["SMOKE_RECEIVER"]}
                stack["Outputs"] = [url]

    emitter.register("after-call.cloudformation.DescribeStacks", complete)
    emitter.register("before-parameter-build.*.*", remember)
    emitter.register_last("before-call.*.*", respond)
    return int(driver.main())


if __name__ == "__main__":
    sys.exit(main())
