"""Roles, permissions and secrets."""

import json
from collections.abc import Iterator

from .. import policies
from ..resources import (
    DEPLOYMENT_GROUP,
    FUNCTIONS,
    PERMISSION,
    ROLE,
    SECRET,
    alias,
    attribute,
    each,
)
from ..stack import Json, Stack


def roles_allow_what_is_listed(stack: Stack) -> Iterator[str]:
    functions = {f"{function}Role" for function in FUNCTIONS}
    others = {role.name for role in stack.of(ROLE)} - functions
    if others != {"DeploymentRole"}:
        yield f"there are other roles than expected: {others}"
    for function in FUNCTIONS:
        role = stack[f"{function}Role"]
        if stack[f"{function}Function"]["Role"] != attribute(role.name):
            yield f"{function}Function does not have its own role"
        if role["ManagedPolicyArns"] is not None or len(role["Policies"]) != 1:
            yield f"{role.name} has other policies than one inline policy"
        trusted = [
            statement["Principal"] for statement in role["AssumeRolePolicyDocument"]["Statement"]
        ]
        if trusted != [{"Service": "lambda.amazonaws.com"}]:
            yield f"{role.name} can be assumed by {trusted}"
        statements = _statements(stack, function)
        if any(statement["Effect"] != "Allow" for statement in statements):
            yield f"{role.name} has a Deny statement, which this check cannot evaluate"
        granted, expected = policies.granted(statements), policies.expected(stack, function)
        for resource in sorted(granted.keys() | expected.keys()):
            more = granted.get(resource, set()) - expected.get(resource, set())
            less = expected.get(resource, set()) - granted.get(resource, set())
            if more:
                yield f"{role.name} allows too much on {resource}: {', '.join(sorted(more))}"
            if less:
                yield f"{role.name} allows too little on {resource}: {', '.join(sorted(less))}"


def only_codedeploy_deploys(stack: Stack) -> Iterator[str]:
    role = stack["DeploymentRole"]
    policy = "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSCodeDeployRoleForLambdaLimited"
    if role["ManagedPolicyArns"] != [{"Fn::Sub": policy}] or role["Policies"] is not None:
        yield "DeploymentRole has other policies than CodeDeploy's for Lambda"
    trusted = [
        statement["Principal"] for statement in role["AssumeRolePolicyDocument"]["Statement"]
    ]
    if trusted != [{"Service": "codedeploy.amazonaws.com"}]:
        yield f"DeploymentRole can be assumed by {trusted}"
    for group in stack.of(DEPLOYMENT_GROUP):
        if group["ServiceRoleArn"] != attribute(role.name):
            yield f"{group.name} has another role"


def roles_have_the_chosen_path_and_boundary(stack: Stack) -> Iterator[str]:
    for role in stack.of(ROLE):
        if role["Path"] != stack.parameters["RolePath"]:
            yield f"{role.name} has the path {role['Path']}"
        if role["PermissionsBoundary"] != (stack.parameters["PermissionsBoundaryArn"] or None):
            yield f"{role.name} has the boundary {role['PermissionsBoundary']}"


def nothing_is_allowed_by_wildcard(stack: Stack) -> Iterator[str]:
    for function in FUNCTIONS:
        for statement in _statements(stack, function):
            actions = set(each(statement["Action"]))
            if any("*" in action for action in actions):
                yield f"{function}Role allows {actions}"
            if "*" in str(statement["Resource"]) and actions not in (
                policies.WITH_TRACING,
                policies.IN_VPC,
            ):
                yield f"{function}Role allows {actions} on {statement['Resource']}"


def conditions_are_as_listed(stack: Stack) -> Iterator[str]:
    for function in FUNCTIONS:
        services = [
            {"Fn::Sub": f"{service}.${{AWS::Region}}.amazonaws.com"}
            for service in policies.KEY_SERVICES[function]
        ]
        for statement in _statements(stack, function):
            expected = None
            if any(action.startswith("kms:") for action in each(statement["Action"])):
                expected = {"StringEquals": {"kms:ViaService": services}}
            if any(action.startswith("ec2:") for action in each(statement["Action"])):
                expected = policies.NOT_BY_CODE
            if statement.get("Condition") != expected:
                condition = statement.get("Condition")
                yield f"{function}Role allows {statement['Action']} under the condition {condition}"


def _statements(stack: Stack, function: str) -> list[Json]:
    return [
        statement
        for policy in stack[f"{function}Role"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def only_the_gateway_may_invoke_functions(stack: Stack) -> Iterator[str]:
    expected = [_invocation(alias(function), "*") for function in ("Submit", "Status")]
    if stack.parameters["Authorizer"] == "lambda":
        expected.append(
            _invocation(
                stack.parameters["AuthorizerFunctionArn"], "authorizers/${LambdaAuthorizer}"
            )
        )
    given = [permission.properties for permission in stack.of(PERMISSION)]
    yield from (f"missing: {permission}" for permission in expected if permission not in given)
    yield from (f"unexpected: {permission}" for permission in given if permission not in expected)
    if len(given) > len(expected):
        yield "a permission exists twice"


def _invocation(function: Json, path: str) -> Json:
    return {
        "FunctionName": function,
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": {
            "Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/"
            + path
        },
    }


def secrets_stay_secret(stack: Stack) -> Iterator[str]:
    declared = stack.translated["Parameters"]["WebhookSecrets"]
    if declared.get("NoEcho") is not True or declared.get("Default"):
        yield "the webhook secrets are visible, or have a default"
    secrets = stack.parameters["WebhookSecrets"]
    [secret] = stack.of(SECRET)
    if secret["SecretString"] != (secrets or None):
        yield "the secret does not have the chosen value"
    generated = {"PasswordLength": 44, "ExcludePunctuation": True}
    if secret["GenerateSecretString"] != (None if secrets else generated):
        yield "the secret is generated in a form that callback cannot read, or in place of a chosen one"
    if not secrets:
        return
    for resource in stack.resources.values():
        if resource.kind != SECRET and secrets in json.dumps(resource.properties):
            yield f"{resource.name} contains the webhook secrets"
