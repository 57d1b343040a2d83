"""All permissions of each function. A role that allows more or less fails."""

from .resources import each
from .stack import Json, Stack

# By function and resource. `Table/by_owner` is the index.
ALLOWED: dict[str, dict[str, set[str]]] = {
    "Submit": {
        "Table": {
            "dynamodb:BatchGetItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
        },
        "Table/by_owner": {"dynamodb:Query"},
        "DispatchQueue": {"sqs:GetQueueAttributes", "sqs:SendMessage"},
        "CallbackQueue": {"sqs:SendMessage"},
        "SubmitLogGroup": {"logs:CreateLogStream", "logs:PutLogEvents"},
    },
    "Status": {
        "Table": {
            "dynamodb:BatchGetItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:UpdateItem",
        },
        "Table/by_owner": {"dynamodb:Query"},
        "CallbackQueue": {"sqs:SendMessage"},
        "StatusLogGroup": {"logs:CreateLogStream", "logs:PutLogEvents"},
    },
    "Worker": {
        "Table": {
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
        },
        "DispatchQueue": {
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
            "sqs:SendMessage",
        },
        "DispatchDeadLetterQueue": {
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        },
        "CallbackQueue": {"sqs:SendMessage"},
        "WorkerLogGroup": {"logs:CreateLogStream", "logs:PutLogEvents"},
    },
    "Callback": {
        "Table": {"dynamodb:GetItem", "dynamodb:UpdateItem"},
        "CallbackQueue": {
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
            "sqs:SendMessage",
        },
        "CallbackDeadLetterQueue": {
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        },
        "WebhookSecret": {"secretsmanager:GetSecretValue"},
        "CallbackLogGroup": {"logs:CreateLogStream", "logs:PutLogEvents"},
    },
}

# In addition on each target, by its alias or version.
ON_TARGETS = {"lambda:InvokeFunction"}

# In addition with the operator's key, and only through these services.
WITH_KEY = {
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
}
KEY_SERVICES = {
    "Submit": ["dynamodb", "sqs"],
    "Status": ["dynamodb", "sqs"],
    "Worker": ["dynamodb", "sqs"],
    "Callback": ["dynamodb", "sqs", "secretsmanager"],
}

# In addition when X-Ray samples. These actions support no resources.
WITH_TRACING = {"xray:PutTelemetryRecords", "xray:PutTraceSegments"}

# In addition for network interfaces in a VPC: Lambda itself uses these by the function's role, and
# the function's own code never does. Without a VPC as well, or Lambda could not delete the
# interfaces of a function that leaves its VPC.
IN_VPC = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
}
MAY_RUN_IN_VPC = ("Worker", "Callback")
NOT_BY_CODE = {"Null": {"lambda:SourceFunctionArn": "true"}}


def expected(stack: Stack, function: str) -> dict[str, set[str]]:
    allowed = dict(ALLOWED[function])
    if stack.parameters["KeyArn"]:
        allowed[stack.parameters["KeyArn"]] = WITH_KEY
    if function == "Worker" and stack.parameters["TargetFunctionArns"]:
        for target in stack.parameters["TargetFunctionArns"].split(","):
            allowed[target] = ON_TARGETS
    anywhere: set[str] = set()
    if stack.parameters["Tracing"] == "Active":
        anywhere |= WITH_TRACING
    if function in MAY_RUN_IN_VPC:
        anywhere |= IN_VPC
    if anywhere:
        allowed["*"] = anywhere
    return allowed


def runs_in_vpc(stack: Stack, function: str) -> bool:
    return function in MAY_RUN_IN_VPC and stack.parameters["SubnetIds"] != ""


def granted(statements: list[Json]) -> dict[str, set[str]]:
    """Actions by resource, in the form of `ALLOWED`."""
    actions: dict[str, set[str]] = {}
    for statement in statements:
        for resource in each(statement["Resource"]):
            actions.setdefault(_label(resource), set()).update(each(statement["Action"]))
    return actions


def _label(resource: Json) -> str:
    match resource:
        case {"Fn::GetAtt": [str(name), "Arn"]} | {"Ref": str(name)}:
            return name
        case {"Fn::Sub": "${Table.Arn}/index/by_owner"}:
            return "Table/by_owner"
    return str(resource)
