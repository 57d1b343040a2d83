"""What the script cannot run on: exit 2 with the reason, and nothing made."""

import shutil
from collections.abc import Iterator

from . import runs
from .bundle import World
from .proxy import Exchange, unchanged


def _refused(
    found: World, reason: str, *options: str, cwd: str | None = None, **variables: str
) -> Iterator[str]:
    process, directory = runs.start(found, options[-1], *options[:-1], cwd=cwd, **variables)
    output, errors = process.communicate(timeout=60)
    if process.returncode != 2 or reason not in errors or output:
        yield f"exit {process.returncode}, and not '{reason}': {output}{errors}"
    if list(directory.iterdir()):
        yield f"files are left: {list(directory.iterdir())}"


def _tools(found: World, **scripts: str | None) -> str:
    """A PATH on which some tools are replaced, or missing."""
    directory = found.directory / "tools"
    directory.mkdir(exist_ok=True)
    for file in directory.iterdir():
        file.unlink()
    for name in (
        "awk",
        "bash",
        "cat",
        "cut",
        "date",
        "dirname",
        "env",
        "grep",
        "mktemp",
        "od",
        "rm",
        "sed",
        "tail",
        "tr",
        "curl",
    ):
        source = shutil.which(name, path=found.variables["PATH"])
        assert source
        (directory / name).symlink_to(source)
    for name, script in scripts.items():
        (directory / name).unlink(missing_ok=True)
        if script:
            (directory / name).write_text(f"#!/bin/sh\n{script}\n")
            (directory / name).chmod(0o755)
    return str(directory)


def a_wrong_argument_is_refused(found: World, stack: str) -> Iterator[str]:
    yield from _refused(found, "no option --fast", "--fast", stack)
    yield from _refused(found, "one stack at a time", stack, "other")
    yield from _refused(found, "is no name of a stack", "9/x")
    yield from _refused(found, "--only takes numbers", "--only", "nine", stack)
    yield from _refused(found, "--patience takes seconds, not long", "--patience", "long", stack)
    yield from _refused(found, "--receiver takes a URL", "--receiver", "here", stack)
    yield from _refused(found, "is none", "--conformance", str(found.directory / "bin"), stack)


def a_stack_that_is_missing_changing_or_not_ferrys_is_refused(
    found: World, stack: str
) -> Iterator[str]:
    yield from _refused(found, "there is no stack absent in eu-central-1", "absent")
    runs.client("cloudformation").create_stack(
        StackName="foreign",
        TemplateBody='{"Resources":{"Nothing":{"Type":"AWS::SNS::Topic"}}}',
    )
    yield from _refused(found, "the stack foreign (None) has no output ApiUrl", "foreign")
    for status, reason in (
        ("UPDATE_IN_PROGRESS", "wait until it has ended"),
        ("REVIEW_IN_PROGRESS", "its first change set was not executed"),
        ("ROLLBACK_COMPLETE", "was not created (ROLLBACK_COMPLETE)"),
        ("UPDATE_ROLLBACK_FAILED", "repair it first"),
        ("UPDATE_COMPLETE", "has no output ApiUrl"),
    ):
        path = _tools(found, aws=_described(status, {}))
        yield from _refused(found, reason, stack, PATH=path)
    outputs = dict.fromkeys(("ApiUrl", "WebhookSecretArn"), "https://api.example.com")
    path = _tools(found, aws=_described("UPDATE_COMPLETE", outputs))
    yield from _refused(found, "has no output ApiLogGroupArn: deploy the release", stack, PATH=path)
    path = _tools(found, aws="[ $1 = --version ] || { echo 'the token is expired' && exit 255; }")
    yield from _refused(found, f"cannot read the stack {stack} in eu-", stack, PATH=path)


def _described(status: str, outputs: dict[str, str]) -> str:
    """Prints what `aws` prints of a stack, whatever it is asked."""
    rows = [f"stack\\t{status}\\tarn:aws:x:y:123456789012:z\\tFerry"]
    rows += [f"output\\t{name}\\t{value}" for name, value in outputs.items()]
    return "".join(f"printf '{row}\\n'\n" for row in rows)


def a_missing_or_old_tool_is_refused(found: World, stack: str) -> Iterator[str]:
    path = _tools(found)
    yield from _refused(found, "the AWS CLI is missing", stack, PATH=path)
    path = _tools(found, aws="echo 'no module named awscli' && exit 1")
    yield from _refused(found, "the AWS CLI does not run: no module", stack, PATH=path)
    path = _tools(found, aws="exit 1", curl="echo 'curl 7.74.0 (x86_64)'")
    yield from _refused(found, "curl 7.75 or later is needed, and this is 7.74.0", stack, PATH=path)


def a_missing_token_or_region_is_refused(found: World, stack: str) -> Iterator[str]:
    yield from _refused(found, "FERRY_TOKEN is not set", stack, FERRY_TOKEN="")
    path = _tools(found, aws="[ $1 = --version ]")
    yield from _refused(
        found, "set AWS_REGION", stack, PATH=path, AWS_REGION="", AWS_DEFAULT_REGION=""
    )


def a_token_that_the_api_refuses_is_refused(found: World, stack: str) -> Iterator[str]:
    def refuse(exchange: Exchange) -> None:
        exchange.status = 401

    found.proxy.after = refuse
    yield from _refused(found, "the API refuses the caller: 401", stack)
    found.proxy.after = unchanged


def a_name_that_is_too_long_for_the_second_stack_is_refused(
    found: World, stack: str
) -> Iterator[str]:
    names = ("ApiUrl", "WebhookSecretArn", "ApiLogGroupArn", "CallbackFunctionArn")
    aws = _described("UPDATE_COMPLETE", dict.fromkeys(names, found.proxy.url))
    path = _tools(found, aws=aws)
    yield from _refused(found, "has more than 51 characters", "a" * 52, PATH=path)


def a_directory_that_cannot_be_written_is_refused(found: World, stack: str) -> Iterator[str]:
    yield from _refused(found, "to the current directory", stack, cwd="/proc")


def a_check_that_does_not_exist_is_refused(found: World, stack: str) -> Iterator[str]:
    yield from _refused(found, "there is no check 7", "--only", "7", stack)


def someone_elses_stack_is_never_replaced(found: World, stack: str) -> Iterator[str]:
    formation = runs.client("cloudformation")
    formation.create_stack(
        StackName=f"{stack}-smoke",
        TemplateBody='{"Description":"A shop","Resources":{"Nothing":{"Type":"AWS::SNS::Topic"}}}',
    )
    yield from _refused(found, f"a stack {stack}-smoke that is not this script's", stack)
    if not formation.describe_stacks(StackName=f"{stack}-smoke")["Stacks"]:
        yield "the stack was deleted"
    formation.delete_stack(StackName=f"{stack}-smoke")


def a_second_run_at_once_is_refused(found: World, stack: str) -> Iterator[str]:
    formation = runs.client("cloudformation")
    found.deploy_receiver(f"{stack}-smoke")
    yield from _refused(
        found, f"{stack}-smoke exists (CREATE_COMPLETE): another run is in progress", stack
    )
    if not formation.describe_stacks(StackName=f"{stack}-smoke")["Stacks"]:
        yield "the other run's stack was deleted"
    formation.delete_stack(StackName=f"{stack}-smoke")


CHECKS = [
    a_wrong_argument_is_refused,
    a_stack_that_is_missing_changing_or_not_ferrys_is_refused,
    a_missing_or_old_tool_is_refused,
    a_missing_token_or_region_is_refused,
    a_token_that_the_api_refuses_is_refused,
    a_name_that_is_too_long_for_the_second_stack_is_refused,
    a_directory_that_cannot_be_written_is_refused,
    a_check_that_does_not_exist_is_refused,
    someone_elses_stack_is_never_replaced,
    a_second_run_at_once_is_refused,
]
