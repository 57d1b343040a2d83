"""The files for GitHub Actions: the workflow, and the role with which it deploys."""

import fnmatch
import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cfnlint
import yaml
from samtranslator.yaml_helper import yaml_parse
from smoke.calls import calls, operation
from template import choices
from template.linter import findings
from template.resources import FUNCTIONS, each
from template.stack import ROOT, Json, Refused, Stack, deploy, source

_PAGE = ROOT / "infra" / "README.md"
_SCHEMAS = Path(cfnlint.__file__).parent / "data" / "schemas"

_REPOSITORY = {"Organization": "example", "Repository": "ferry"}
_WITH_EVERYTHING = _REPOSITORY | {
    "OrganizationId": "123456",
    "RepositoryId": "789012",
    "KeyArn": choices.KEY_ARN,
    "AuthorizerFunctionArn": choices.AUTHORIZER_ARN,
}
# The sum of a role's inline policies, without white space (IAM's quotas).
_INLINE_CHARACTERS_MAX = 10_240
_MANAGED_CHARACTERS_MAX = 6_144

# The words that the workflow's deployment has in addition to the page's.
_ADDED = {
    "--no-confirm-changeset": "the workflow has no terminal",
    "--no-fail-on-empty-changeset": "a change may leave the stack as it is",
    "Authorizer=": "a workflow's caller has a token",
    "JwtAudience=": "Authorizer=jwt requires it",
    "JwtIssuer=": "Authorizer=jwt requires it",
    "PermissionsBoundaryArn=": "oidc.yaml requires it",
    "RolePath=": "oidc.yaml requires it",
    "TargetFunctionArns=": "the file of registered functions names them",
}

# What AWS's handlers of the template's types may call and the role may not, with the reason.
_EXCEPTED = {
    "apigateway:*tagresource": "API Gateway's actions are HTTP methods",
    "dynamodb:associatetablereplica": "the table has no replicas",
    "dynamodb:createtablereplica": "the table has no replicas",
    "dynamodb:*item": "the table is not imported",
    "dynamodb:*import*": "the table is not imported",
    "dynamodb:query": "the table is not imported",
    "dynamodb:scan": "the table is not imported",
    "dynamodb:*ablekinesisstreamingdestination": "the table has no stream",
    "dynamodb:updatekinesisstreamingdestination": "the table has no stream",
    "dynamodb:updatecontributorinsights": "the table has no contributor insights",
    "dynamodb:putresourcepolicy": "the table has no resource policy",
    "dynamodb:deleteresourcepolicy": "the table has no resource policy",
    "kinesis:*": "the table has no stream",
    "iam:createservicelinkedrole": "the table has no replicas",
    "iam:deleterolepermissionsboundary": "a role keeps its boundary",
    "codedeploy:registeronpremisesinstance": "it deploys Lambda functions",
    "elasticfilesystem:*": "the functions have no file system",
    "s3files:*": "the functions have no file system",
    "lambda:*provisionedconcurrencyconfig": "the functions have no provisioned concurrency",
    "lambda:putfunctionscalingconfig": "the functions have no capacity provider",
    "lambda:passcapacityprovider": "the functions have no capacity provider",
    "lambda:associateruntimealias": "the functions' runtime is not pinned",
    "lambda:putruntimemanagementconfig": "the functions' runtime is not pinned",
    "lambda:*codesigningconfig": "the functions' code is not signed",
    "logs:*indexpolicy": "the log groups have no index policy",
    "logs:*dataprotectionpolicy": "the log groups have no data protection policy",
    "logs:putbearertokenauthentication": "the log groups have no bearer token",
    "logs:putloggroupdeletionprotection": "the log groups are not protected from deletion",
    "logs:deleteresourcepolicy": "a resource policy serves all log groups of the account",
    "logs:createlogstream": "only the import of a table writes logs",
    "logs:describelogstreams": "only the import of a table writes logs",
    "logs:putlogevents": "only the import of a table writes logs",
    "firehose:*": "logs are not delivered to Firehose",
    "s3:rest.put.object": "logs are not delivered to S3",
    "s3:getobjectmetadata": "it is no action of IAM",
    "secretsmanager:*region*": "the secret has no replicas",
    "kms:listaliases": "KeyArn is no alias",
}
# What the role may do and no handler of the template's types calls.
_MORE = {
    "cloudformation:*": "it deploys stacks",
    "s3:*": "SAM makes a bucket and uploads the code",
    "logs:*logdeliver*": "API Gateway requires it of those who turn an access log on",
    "lambda:*functionurlconfig": "the smoke test's receiver has a URL",
}
# Actions that would give a role more than the boundary.
_NEEDS_BOUNDARY = ("Create", "Put", "Attach")
# Calls of the smoke test for which the role has no permission, with the reason.
_NOT_AUTHORIZED = {
    "cloudformation:Wait": "it is DescribeStacks",
    "cloudformation:Deploy": "it is a change set",
    "sts:GetCallerIdentity": "everyone may",
    "cloudformation:UpdateStack": "only --break updates the stack",
    "cloudformation:CancelUpdateStack": "only --break updates the stack",
    "secretsmanager:PutSecretValue": "only --long replaces the secret",
}
# What the smoke test calls, and on what of the stack ferry, as CloudFormation names it.
_STACK = "cloudformation:::stack/ferry/1"
_SECOND_STACK = "cloudformation:::stack/ferry-smoke/1"
_FUNCTION = "lambda:::function:ferry-SubmitFunction-1ABC"
_TABLE = "dynamodb:::table/ferry-Table-1ABC"
_LOGS = ["logs:::log-group:/ferry/submit:*", "logs:::log-group:/aws/vendedlogs/ferry/api:*"]
_USED = {
    "cloudformation:DeleteStack": [_SECOND_STACK],
    "cloudformation:DescribeStacks": [_STACK, _SECOND_STACK],
    "cloudformation:ListStackResources": [_STACK],
    "cloudwatch:DescribeAlarms": ["*"],
    "cloudwatch:GetDashboard": ["cloudwatch:::dashboard/Dashboard-1ABC"],
    "cloudwatch:GetMetricStatistics": ["*"],
    "dynamodb:DescribeContinuousBackups": [_TABLE],
    "dynamodb:DescribeTable": [_TABLE],
    "dynamodb:DescribeTimeToLive": [_TABLE],
    "dynamodb:GetItem": [_TABLE],
    "iam:SimulatePrincipalPolicy": ["iam:::role/ferry/ferry-SubmitRole-1ABC"],
    "lambda:GetAccountSettings": ["*"],
    "lambda:GetAlias": [_FUNCTION],
    "lambda:GetFunctionConfiguration": [_FUNCTION],
    "lambda:GetFunctionRecursionConfig": [_FUNCTION],
    "logs:DescribeLogGroups": ["*"],
    "logs:FilterLogEvents": _LOGS,
    "secretsmanager:GetSecretValue": ["secretsmanager:::secret:WebhookSecret-1ABC"],
    "sqs:GetQueueAttributes": ["sqs:::ferry-DispatchDeadLetterQueue-1ABC"],
    "sqs:SendMessage": ["sqs:::ferry-DispatchDeadLetterQueue-1ABC"],
    "xray:BatchGetTraces": ["*"],
}


@dataclass(frozen=True)
class Files:
    # Has what `tests/deploy_tools.sh` installed.
    directory: Path
    workflow: Path = ROOT / "infra" / "github" / "deploy.yml"
    role: Path = ROOT / "infra" / "github" / "oidc.yaml"


def the_workflow_fits_githubs_schema(files: Files) -> Iterator[str]:
    run = subprocess.run(
        [
            files.directory / "python" / "bin" / "check-jsonschema",
            *("--builtin-schema", "vendor.github-workflows"),
            files.workflow,
        ],
        capture_output=True,
        text=True,
    )
    if run.returncode != 0:
        yield run.stdout + run.stderr


def every_action_has_a_commit_and_its_version(files: Files) -> Iterator[str]:
    used = re.findall(r"uses: (.+)$", files.workflow.read_text(), re.MULTILINE)
    for action in used:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v[0-9.]+", action):
            yield f"{action} is not pinned"
    if len(used) < 5:
        yield f"it uses {used}"


def only_the_protected_job_gets_a_token(files: Files) -> Iterator[str]:
    workflow = _workflow(files)
    if workflow["permissions"] != {"contents": "read"}:
        yield f"all jobs have {workflow['permissions']}"
    for name, job in workflow["jobs"].items():
        if "write" not in job.get("permissions", {}).values():
            continue
        if job["permissions"] != {"id-token": "write"}:
            yield f"{name} has {job['permissions']}"
        if job.get("environment") != _role_parameters(files)["Environment"]["Default"]:
            yield f"{name} has the environment {job.get('environment')}"
        if job["if"] != "github.event_name == 'push' && github.ref == 'refs/heads/main'":
            yield f"{name} runs if {job['if']}"
    assumed = json.dumps(workflow).count("aws-actions/configure-aws-credentials@")
    if assumed != 1 or "access-key" in json.dumps(workflow):
        yield "the workflow gets credentials in another way"


def no_text_of_an_event_is_in_a_command(files: Files) -> Iterator[str]:
    for job in _workflow(files)["jobs"].values():
        for step in job["steps"]:
            if "${{" in step.get("run", ""):
                yield f"{step['name']} has an expression, which a shell would run"


def its_commands_are_those_of_the_page(files: Files) -> Iterator[str]:
    workflow = _workflow(files)
    version = workflow["env"]["VERSION"]
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = [
        shlex.split(command)
        for step in steps
        for command in _commands(step.get("run", "").replace("$VERSION", version))
    ]
    block = _PAGE.read_text().split("<!-- from a release -->")[1].split("```")[1]
    block = block.replace("$(date +%s)", "NUMBER")
    shown = [
        shlex.split(command.removeprefix("$ "))
        for command in _commands(block)
        if command.startswith("$ ")
    ]
    if len(shown) < 5:
        yield f"the page shows {shown}"
    for words in shown:
        if words[:2] != ["sam", "deploy"] and words not in commands:
            yield f"the workflow does not run: {shlex.join(words)}"
    [expected] = [words for words in shown if words[:2] == ["sam", "deploy"]]
    [deployed] = [words for words in commands if words[:2] == ["sam", "deploy"]]
    expected = [word for word in expected if not word.startswith(("Authorizer=", "Release="))]
    for word in expected:
        if word not in deployed:
            yield f"the workflow deploys without {word}"
    for word in deployed:
        added = any(word.startswith(prefix) for prefix in (*_ADDED, "Release="))
        if word not in expected and not added:
            yield f"the workflow deploys with {word}"
    for word in deployed:
        name, separator, _value = word.partition("=")
        if separator and name not in source()["Parameters"]:
            yield f"the template has no parameter {name}"


def every_page_has_this_version(files: Files) -> Iterator[str]:
    manifest = (ROOT / "Cargo.toml").read_text()
    [version] = re.findall(r'^version = "(.+)"$', manifest, re.MULTILINE)
    pages = (
        _PAGE,
        ROOT / "infra" / "RUNBOOK.md",
        ROOT / "infra" / "terraform" / "README.md",
        files.workflow,
    )
    for page in pages:
        text = page.read_text()
        named = re.findall(r"ferry-(?:operator-)?([0-9][0-9.]*[0-9])|VERSION: (\S+)", text)
        versions = {first or second for first, second in named}
        if versions != {version}:
            yield f"{page.name} has {versions}"


def cfn_lint_finds_nothing_in_the_role(files: Files) -> Iterator[str]:
    yield from findings([files.role], set())


def only_the_repositorys_environment_can_assume_the_role(files: Files) -> Iterator[str]:
    issuer = "token.actions.githubusercontent.com"
    for parameters, subject in (
        (_REPOSITORY, "repo:example/ferry:environment:production"),
        (_WITH_EVERYTHING, "repo:example@123456/ferry@789012:environment:production"),
    ):
        trust = _deployed(files, parameters)["Deployer"]["AssumeRolePolicyDocument"]["Statement"]
        expected = {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": subject}
        if [statement["Condition"] for statement in trust] != [{"StringEquals": expected}]:
            yield f"the role trusts {trust}"
        if [statement["Principal"] for statement in trust] != [{"Federated": {"Ref": "Provider"}}]:
            yield f"the role trusts {trust}"
        if "*" in json.dumps(trust):
            yield f"the trust has a wildcard: {trust}"
    arn = f"arn:aws:iam::123456789012:oidc-provider/{issuer}"
    stack = _deployed(files, _REPOSITORY | {"ProviderArn": arn})
    [statement] = stack["Deployer"]["AssumeRolePolicyDocument"]["Statement"]
    if statement["Principal"] != {"Federated": arn} or "Provider" in stack.resources:
        yield f"with a provider the role trusts {statement['Principal']}"
    for parameters in (
        {"OrganizationId": "1"},
        {"RepositoryId": "1"},
        {"Environment": "*"},
        {"Repository": "*"},
        {"Organization": "a/b"},
    ):
        try:
            _deployed(files, _REPOSITORY | parameters)
        except Refused:
            continue
        yield f"{parameters} is not refused"


def the_role_may_make_each_resource_of_the_template(files: Files) -> Iterator[str]:
    allowed = _allowed(_deployed(files, _WITH_EVERYTHING))
    unused = dict(_EXCEPTED)
    for kind in sorted(_kinds()):
        for action in sorted(_handled(kind)):
            excepted = [pattern for pattern in _EXCEPTED if fnmatch.fnmatch(action, pattern)]
            if action not in allowed and not excepted:
                yield f"{kind} needs {action}"
            for pattern in excepted:
                unused.pop(pattern, None)
    for pattern in unused:
        yield f"the exception for {pattern} is no longer needed"


def the_role_may_do_nothing_else(files: Files) -> Iterator[str]:
    handled = {action for kind in _kinds() for action in _handled(kind)}
    stack = _deployed(files, _WITH_EVERYTHING)
    for action in sorted(_allowed(stack, except_policy="smoke") - handled):
        if not any(fnmatch.fnmatch(action, pattern) for pattern in _MORE):
            yield f"nothing needs {action}"
    for policy in stack["Deployer"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            if any("*" in action for action in each(statement["Action"])):
                yield f"a wildcard is among {statement['Action']}"


def the_role_makes_roles_within_the_boundary_only(files: Files) -> Iterator[str]:
    roles = {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/ferry/ferry-*"}
    for statement in _statements(_deployed(files, _WITH_EVERYTHING)["Deployer"]):
        equal = statement.get("Condition", {}).get("StringEquals", {})
        for action in each(statement["Action"]):
            service, _, verb = action.partition(":")
            if service != "iam":
                continue
            if statement["Resource"] != roles:
                yield f"{action} is allowed on {statement['Resource']}"
            if verb.startswith(_NEEDS_BOUNDARY) and equal.get("iam:PermissionsBoundary") != {
                "Ref": "Boundary"
            }:
                yield f"{action} is allowed without the boundary"
            if verb.startswith("Attach") and "iam:PolicyARN" not in equal:
                yield f"{action} is allowed for every policy"
            if verb == "PassRole" and "iam:PassedToService" not in equal:
                yield "roles can be passed to every service"


def the_boundary_allows_what_the_roles_need(files: Files) -> Iterator[str]:
    boundary = {
        action
        for statement in _deployed(files, _WITH_EVERYTHING)["Boundary"]["PolicyDocument"][
            "Statement"
        ]
        for action in each(statement["Action"])
    }
    needed = {
        action
        for parameters in choices.DEPLOYED.values()
        for function in FUNCTIONS
        for policy in deploy(source(), parameters)[f"{function}Role"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in each(statement["Action"])
    }
    # What CodeDeploy needs for aliases and alarms.
    needed |= {
        "cloudwatch:DescribeAlarms",
        "lambda:GetAlias",
        "lambda:GetProvisionedConcurrencyConfig",
        "lambda:UpdateAlias",
    }
    if boundary != needed:
        yield f"too little: {sorted(needed - boundary)}, too much: {sorted(boundary - needed)}"


def the_policies_are_within_iams_quotas(files: Files) -> Iterator[str]:
    stack = _deployed(files, _WITH_EVERYTHING)
    documents = [policy["PolicyDocument"] for policy in stack["Deployer"]["Policies"]]
    size = sum(map(_size, documents))
    if size > _INLINE_CHARACTERS_MAX:
        yield f"the role's policies have {size} characters"
    size = _size(stack["Boundary"]["PolicyDocument"])
    if size > _MANAGED_CHARACTERS_MAX:
        yield f"the boundary has {size} characters"


def the_smoke_test_may_make_its_calls(files: Files) -> Iterator[str]:
    found = {
        f"{service}:{operation(command)}" for service, command in calls(ROOT / "infra")
    } - _NOT_AUTHORIZED.keys()
    statements = _statements(_deployed(files, _REPOSITORY)["Deployer"])
    for call in sorted(found - _USED.keys()):
        yield f"the smoke test calls {call}, and on what is not listed"
    for call in sorted(_USED.keys() - found):
        yield f"the smoke test does not call {call}"
    for call, resources in _USED.items():
        patterns = [
            _text(resource)
            for statement in statements
            if call.lower() in [action.lower() for action in each(statement["Action"])]
            for resource in each(statement["Resource"])
        ]
        for resource in resources:
            if not any(fnmatch.fnmatchcase(resource, pattern) for pattern in patterns):
                yield f"the smoke test may not call {call} on {resource}: {patterns}"


def _text(resource: Json) -> str:
    """From the service on, without partition, Region and account."""
    text = resource["Fn::Sub"] if isinstance(resource, dict) else resource
    return re.sub(r"^arn:|\$\{AWS::[A-Za-z]+\}", "", text).lstrip(":")


Check = Callable[[Files], Iterator[str]]

CHECKS: list[Check] = [
    the_workflow_fits_githubs_schema,
    every_action_has_a_commit_and_its_version,
    only_the_protected_job_gets_a_token,
    no_text_of_an_event_is_in_a_command,
    its_commands_are_those_of_the_page,
    every_page_has_this_version,
    cfn_lint_finds_nothing_in_the_role,
    only_the_repositorys_environment_can_assume_the_role,
    the_role_may_make_each_resource_of_the_template,
    the_role_may_do_nothing_else,
    the_role_makes_roles_within_the_boundary_only,
    the_boundary_allows_what_the_roles_need,
    the_policies_are_within_iams_quotas,
    the_smoke_test_may_make_its_calls,
]


def _workflow(files: Files) -> Json:
    return yaml.safe_load(files.workflow.read_text())


def _commands(script: str) -> list[str]:
    return [line.strip() for line in re.sub(r" \\\n *", " ", script).splitlines() if line.strip()]


def _role_parameters(files: Files) -> Json:
    return yaml_parse(files.role.read_text())["Parameters"]


def _deployed(files: Files, parameters: dict[str, str]) -> Stack:
    return deploy(yaml_parse(files.role.read_text()), parameters)


def _statements(role: Json, except_policy: str | None = None) -> list[Json]:
    return [
        statement
        for policy in role["Policies"]
        if policy["PolicyName"] != except_policy
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def _allowed(stack: Stack, except_policy: str | None = None) -> set[str]:
    """In small letters, since IAM does not distinguish them."""
    return {
        action.lower()
        for statement in _statements(stack["Deployer"], except_policy)
        for action in each(statement["Action"])
    }


def _kinds() -> set[str]:
    """The types of the resources that SAM makes of the template."""
    template = deploy(source(), choices.EVERYTHING).translated
    return {resource["Type"] for resource in template["Resources"].values()}


def _handled(kind: str) -> set[str]:
    """What CloudFormation may call for a type, as AWS publishes it with the type's schema."""
    name = json.loads((_SCHEMAS / "providers" / "us-east-1.json").read_text())[kind]
    schema = json.loads((_SCHEMAS / "resources" / f"{name}.json").read_text())
    return {
        action.lower()
        for handler in ("create", "read", "update", "delete")
        for action in schema["handlers"].get(handler, {}).get("permissions", [])
    }


def _size(document: Json) -> int:
    """Its length when names of account and partition are filled in, without white space."""
    text = json.dumps(document, separators=(",", ":"))
    for name, value in {
        "AWS::Partition": "aws-us-gov",
        "AWS::Region": "ap-southeast-1",
        "AWS::AccountId": "123456789012",
    }.items():
        text = text.replace(f"${{{name}}}", value)
    return len(text)
