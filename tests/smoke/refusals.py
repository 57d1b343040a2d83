"""What the script cannot run on: exit 2 with the reason, and nothing made."""

import shutil
from collections.abc import Iterator

from . import runs
from .bundle import World


def _refused(found: World, reason: str, *options: str, **variables: str) -> Iterator[str]:
    process, directory = runs.start(found, options[-1], *options[:-1], **variables)
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
    yield from _refused(found, "no stack absent in eu-central-1", "absent")
    runs.client("cloudformation").create_stack(
        StackName="foreign",
        TemplateBody='{"Resources":{"Nothing":{"Type":"AWS::SNS::Topic"}}}',
    )
    yield from _refused(found, "lacks outputs of infra/template.yaml", "foreign")
    changing = "stack\\tUPDATE_IN_PROGRESS\\tarn:aws:x:y:123456789012:z\\tFerry\\n"
    path = _tools(found, aws=f"printf '{changing}'")
    yield from _refused(found, f"{stack} is UPDATE_IN_PROGRESS", stack, PATH=path)


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


CHECKS = [
    a_wrong_argument_is_refused,
    a_stack_that_is_missing_changing_or_not_ferrys_is_refused,
    a_missing_or_old_tool_is_refused,
    a_missing_token_or_region_is_refused,
    a_check_that_does_not_exist_is_refused,
    someone_elses_stack_is_never_replaced,
]
