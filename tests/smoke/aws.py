"""The AWS CLI that the script finds on its path: the real one, which parses and validates every
call, formats responses and follows pages, without AWS.

Calls that moto or the bundle serve go there. The others get a response of `responses`, written from
botocore's model of the operation and validated by it, so that a member that AWS does not return is
an error. Each call is appended to the file SMOKE_CALLS.
"""

import json
import os
import sys
from typing import Any

import awscli.clidriver
from botocore.awsrequest import AWSResponse
from botocore.hooks import HierarchicalEmitter
from botocore.validate import ParamValidator

from . import responses
from .template import reduced, template

# Served by moto or by the bundle.
_SERVED = {
    "cloudformation": None,
    "dynamodb": {"GetItem", "DescribeTimeToLive"},
    "secretsmanager": None,
    "sqs": None,
}
_NOT_SERVED = {"CancelUpdateStack", "ListStackResources", "UpdateStack"}


def main() -> int:
    driver = awscli.clidriver.create_clidriver()
    emitter: HierarchicalEmitter = driver.session.get_component("event_emitter")
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
        if operation not in _NOT_SERVED and (served is None or operation in served):
            return None
        written = responses.response(service, operation, call["params"])
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
                stack["Description"] = template("smoke.yaml")["Description"]
                url = {"OutputKey": "ReceiverUrl", "OutputValue": os.environ["SMOKE_RECEIVER"]}
                stack["Outputs"] = [url]

    emitter.register("after-call.cloudformation.DescribeStacks", complete)
    emitter.register("before-parameter-build.*.*", remember)
    emitter.register_last("before-call.*.*", respond)
    return int(driver.main())


if __name__ == "__main__":
    sys.exit(main())
