"""Deploys the translated template to moto's CloudFormation, and checks the result through each
service's API.

moto evaluates parameters and conditions itself, which is a second opinion on `stack`. It does not
check parameters against patterns or rules, and does not know some kinds of resources: those are
left out.
"""

import io
import json
import logging
import re
import time
import urllib.request
import zipfile
from collections.abc import Iterator

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from moto.server import ThreadedMotoServer

from .resources import (
    FUNCTION,
    FUNCTIONS,
    LOG_GROUP,
    QUEUE,
    QUEUES,
    ROLE,
    TABLE,
    VARIABLES,
    each,
)
from .stack import CODE_BUCKET, CODE_KEY, Json, Stack

# It would log a line for every request.
logging.getLogger("werkzeug").setLevel(logging.ERROR)

_UNKNOWN_TO_MOTO = (
    "AWS::ApiGatewayV2::",
    "AWS::CloudWatch::Alarm",
    "AWS::CodeDeploy::",
    "AWS::Lambda::Alias",
    "AWS::SecretsManager::",
)
_NAMED_IN_THE_ACCOUNT = (TABLE, QUEUE, FUNCTION, ROLE, LOG_GROUP)
_VARIABLE = re.compile(r"\$\{([A-Za-z0-9]+)(\.[A-Za-z0-9]+)?\}")
# Two stages in one account.
_STACK = "ferry"
_OTHER_STACK = "ferry-staging"
_DEADLINE_SECS = 30


class Account:
    """An account in moto."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def client(self, service: str) -> Json:
        return boto3.client(
            service,
            endpoint_url=self._endpoint,
            region_name="eu-central-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def upload(self) -> None:
        """Uploads a file in place of the functions' code and the layer."""
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("bootstrap", "")
        storage = self.client("s3")
        storage.create_bucket(
            Bucket=CODE_BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        storage.put_object(Bucket=CODE_BUCKET, Key=CODE_KEY, Body=code.getvalue())

    def create(self, stack: Stack, name: str) -> dict[str, str]:
        """Creates the stack, and returns its resources' physical ids by their names."""
        formation = self.client("cloudformation")
        formation.create_stack(
            StackName=name,
            TemplateBody=json.dumps(known_to_moto(stack.translated)),
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in stack.parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM"],
        )
        deadline = time.monotonic() + _DEADLINE_SECS
        while (
            status := formation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        ) == "CREATE_IN_PROGRESS":
            if time.monotonic() > deadline:
                raise TimeoutError("moto did not create the stack")
        if status != "CREATE_COMPLETE":
            raise RuntimeError(f"moto ended with {status}")
        pages = formation.get_paginator("list_stack_resources").paginate(StackName=name)
        made = [resource for page in pages for resource in page["StackResourceSummaries"]]
        return {
            resource["LogicalResourceId"]: resource.get("PhysicalResourceId", "")
            for resource in made
        }


def known_to_moto(template: Json) -> Json:
    """The template without the resources that moto does not know.

    References to those become their names; a reference to an alias becomes one to its function.
    """
    kinds = {name: resource["Type"] for name, resource in template["Resources"].items()}
    unknown = {name for name, kind in kinds.items() if kind.startswith(_UNKNOWN_TO_MOTO)}

    def rewritten(value: Json) -> Json:
        match value:
            case {"Ref": name} if name in unknown:
                return (
                    {"Ref": name.removesuffix("Aliaslive")} if name.endswith("Aliaslive") else name
                )
            case {"Fn::GetAtt": [name, _]} if name in unknown:
                return name
            case {"Fn::Sub": str(text)}:
                return {
                    "Fn::Sub": _VARIABLE.sub(
                        lambda variable: variable[1] if variable[1] in unknown else variable[0],
                        text,
                    )
                }
            case dict():
                members = {
                    key: rewritten(member) for key, member in value.items() if key != "DependsOn"
                }
                order = [name for name in each(value.get("DependsOn", [])) if name not in unknown]
                return members | ({"DependsOn": order} if order else {})
            case list():
                return [rewritten(entry) for entry in value]
        return value

    resources = {
        name: resource for name, resource in template["Resources"].items() if name not in unknown
    }
    return rewritten({**template, "Resources": resources})


def problems(stack: Stack) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        # All moto servers of a process share their state.
        urllib.request.urlopen(
            urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")
        ).close()
        account = Account(endpoint)
        account.upload()
        made = account.create(stack, _STACK)
        yield from _table(account, made["Table"])
        yield from _queues(account, made)
        yield from _functions(account, made, stack)
        yield from _event_sources(account, made)
        yield from _logs(account, stack)
        yield from _second_stack(account, made, stack)
    finally:
        server.stop()


def _table(account: Account, name: str) -> Iterator[str]:
    # moto's CloudFormation sets neither TTL nor point-in-time recovery: only `checks.data` checks
    # those.
    table = account.client("dynamodb").describe_table(TableName=name)["Table"]
    if table["BillingModeSummary"]["BillingMode"] != "PAY_PER_REQUEST":
        yield "the table is not billed by request"
    indexes = {
        index["IndexName"]: (
            index["Projection"]["ProjectionType"],
            [key["AttributeName"] for key in index["KeySchema"]],
        )
        for index in table["GlobalSecondaryIndexes"]
    }
    if indexes != {"by_owner": ("KEYS_ONLY", ["owner", "created_at"])}:
        yield f"the table's indexes are {indexes}"
    if str(table.get("DeletionProtectionEnabled")).lower() != "true":
        yield "the table can be deleted"


def _queues(account: Account, made: dict[str, str]) -> Iterator[str]:
    client = account.client("sqs")

    def attributes(name: str) -> dict[str, str]:
        response = client.get_queue_attributes(QueueUrl=made[name], AttributeNames=["All"])
        found: dict[str, str] = response["Attributes"]
        return found

    for name, (dead_letters_name, function) in QUEUES.items():
        queue, dead_letters = attributes(name), attributes(dead_letters_name)
        redrive = json.loads(queue.get("RedrivePolicy", "{}"))
        if redrive != {"deadLetterTargetArn": dead_letters["QueueArn"], "maxReceiveCount": 10}:
            yield f"{name}'s redrive is {redrive}"
        if "RedrivePolicy" in dead_letters:
            yield f"{dead_letters_name} has a redrive policy"
        if int(queue["MessageRetentionPeriod"]) >= int(dead_letters["MessageRetentionPeriod"]):
            yield f"{dead_letters_name} keeps messages for no longer than {name}"
        configuration = account.client("lambda").get_function_configuration(
            FunctionName=made[f"{function}Function"]
        )
        for each in (queue, dead_letters):
            if int(each["VisibilityTimeout"]) < configuration["Timeout"]:
                yield f"{each['QueueArn']} makes messages visible while {function} has them"


def _functions(account: Account, made: dict[str, str], stack: Stack) -> Iterator[str]:
    client = account.client("lambda")
    for function in stack.of(FUNCTION):
        configuration = client.get_function_configuration(FunctionName=made[function.name])
        variables = configuration["Environment"]["Variables"]
        if variables.keys() != function["Environment"]["Variables"].keys():
            yield f"{function.name} has the variables {sorted(variables)}"
        for variable in variables.keys() & VARIABLES.keys():
            resource = VARIABLES[variable]
            if resource in made and variables[variable] != made[resource]:
                yield f"{function.name}'s {variable} is {variables[variable]}"
        role = function.name.replace("Function", "Role")
        if configuration["Role"].split("/")[-1] != made[role]:
            yield f"{function.name} has the role {configuration['Role']}"


def _event_sources(account: Account, made: dict[str, str]) -> Iterator[str]:
    sources = account.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    read = sorted(source["EventSourceArn"].split(":")[-1] for source in sources)
    queues = sorted(
        made[queue].split("/")[-1] for name, (dead, _) in QUEUES.items() for queue in (name, dead)
    )
    if read != queues:
        yield f"the queues that are read are {read}"
    for source in sources:
        if source["FunctionResponseTypes"] != ["ReportBatchItemFailures"]:
            yield f"{source['EventSourceArn']}'s reader cannot return single messages"


def _logs(account: Account, stack: Stack) -> Iterator[str]:
    groups = account.client("logs").describe_log_groups()["logGroups"]
    expected = {f"/{_STACK}/{function.lower()}" for function in FUNCTIONS} | {
        f"/aws/vendedlogs/{_STACK}/api"
    }
    if {group["logGroupName"] for group in groups} != expected:
        yield f"the log groups are {[group['logGroupName'] for group in groups]}"
    for group in groups:
        if str(group.get("retentionInDays")) != stack.parameters["LogRetentionInDays"]:
            yield f"{group['logGroupName']} is kept for {group.get('retentionInDays')} days"


def _second_stack(account: Account, made: dict[str, str], stack: Stack) -> Iterator[str]:
    try:
        others = account.create(stack, _OTHER_STACK)
    # moto passes DynamoDB's errors on unchanged, which is not CloudFormation's format.
    except (ClientError, ResponseParserError) as error:
        yield f"an account cannot hold the stack twice: {error}"
        return
    for resource in stack.resources.values():
        if (
            resource.kind in _NAMED_IN_THE_ACCOUNT
            and resource.name in made
            and made[resource.name] == others[resource.name]
        ):
            yield f"{resource.name} is {made[resource.name]} in both stacks"
