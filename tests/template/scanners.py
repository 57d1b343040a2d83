"""What others look for in a template: cfn-lint, AWS's own linter, and checkov.

Their exceptions are written here with a reason each. An exception that nothing needs any more fails as well.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .stack import SOURCE, Json, Stack

_BIN = Path(sys.executable).parent

# What cfn-lint says that does not hold here.
_LINTS_EXCEPTED = {
    "W1030": "it puts the empty default of AuthorizerFunctionArn where a condition that is told by another parameter keeps it out",
    "W2001": "SAM uses Release and DeploymentPreference up, and leaves their declarations",
}

_ALWAYS = {
    "CKV_AWS_116": "no function is invoked asynchronously: a function's own dead-letter queue would never have anything in it",
    "CKV_AWS_117": "what the functions call is on the public internet, and a VPC would add NAT gateways to be paid for by the hour",
    "CKV_AWS_173": "no variable is secret; at rest Lambda encrypts them with its own key",
}
_WORKER_AND_CALLBACK = {
    "CKV_AWS_115": "reserved concurrency throttles readers of queues, and throttled receives count; event sources have a maximum",
}
_NOT_RESERVED = {
    "CKV_AWS_115": "an operator who shares the account sets HttpReservedConcurrency; until then the gateway's throttling bounds it",
}
_WITHOUT_KEY = {
    "CKV_AWS_27": "SQS encrypts with its own key unless KeyArn names another",
    "CKV_AWS_119": "DynamoDB encrypts with the account's AWS managed key unless KeyArn names another",
    "CKV_AWS_149": "Secrets Manager encrypts with the account's AWS managed key unless KeyArn names another",
    "CKV_AWS_158": "CloudWatch Logs encrypts with its own key unless KeyArn names another",
}

# What checkov is not asked. Of the same stacks it has told once that a variable holds a secret, and not in thirty other runs.
_NOT_ASKED = {
    "CKV_AWS_45": "every variable is a reference, to a resource or to a parameter, which a check of our own holds",
}

Finding = tuple[str, str]


def lint(stacks: dict[str, Stack], directory: Path) -> Iterator[str]:
    """What cfn-lint says of the source, and of what SAM made of it. That does not depend on parameters but for names."""
    files = [SOURCE]
    for name, stack in stacks.items():
        path = directory / f"translated-{name}.json"
        path.write_text(json.dumps(stack.translated, indent=1))
        files.append(path)
    run = subprocess.run(
        [_BIN / "cfn-lint", "--format", "json", "--regions", "eu-central-1", "us-east-1", "--", *files],
        capture_output=True,
        text=True,
    )
    findings = json.loads(run.stdout or "[]")
    for finding in findings:
        if finding["Rule"]["Id"] not in _LINTS_EXCEPTED:
            line = finding["Location"]["Start"]["LineNumber"]
            yield f"{finding['Filename']}:{line}: {finding['Rule']['Id']} {finding['Message']}"
    for unused in sorted(_LINTS_EXCEPTED.keys() - {finding["Rule"]["Id"] for finding in findings}):
        yield f"the exception for {unused} is needed no more"
    if not findings and run.returncode != 0:
        yield f"cfn-lint: {run.stderr}"


def scan(stacks: dict[str, Stack], directory: Path) -> Iterator[str]:
    """What checkov says of the stacks, with parameters put in, held to the exceptions above."""
    for name, stack in stacks.items():
        (directory / f"{name}.json").write_text(json.dumps(_written_out(stack), indent=1))
    run = subprocess.run(
        [
            *(_BIN / "checkov", "--framework", "cloudformation", "--output", "json", "--quiet", "--compact", "--skip-download"),
            *("--skip-check", ",".join(_NOT_ASKED)),
            *(part for name in stacks for part in ("--file", directory / f"{name}.json")),
        ],
        capture_output=True,
        text=True,
    )
    if not run.stdout.startswith(("{", "[")):
        yield f"checkov: {run.stdout}{run.stderr}"
        return
    scanned = json.loads(run.stdout)
    if scanned["summary"]["parsing_errors"] or not scanned["summary"]["passed"]:
        yield f"checkov could not read every stack: {scanned['summary']}"
    found: dict[str, set[Finding]] = {name: set() for name in stacks}
    for finding in scanned["results"]["failed_checks"]:
        found[Path(finding["file_path"]).stem].add((finding["check_id"], finding["resource"].split(".")[-1]))
    for name, stack in stacks.items():
        excepted = {(check, resource) for resource in stack.resources for check in _exceptions(stack, resource)}
        for check, resource in sorted(found[name] - excepted):
            yield f"{name}: {check} on {resource}"
    needed = {check for findings in found.values() for check, _ in findings}
    everything = _ALWAYS | _WORKER_AND_CALLBACK | _NOT_RESERVED | _WITHOUT_KEY
    for unused in sorted(everything.keys() - needed):
        yield f"the exception for {unused} is needed no more"


def _exceptions(stack: Stack, resource: str) -> dict[str, str]:
    excepted = dict(_ALWAYS)
    if resource in ("WorkerFunction", "CallbackFunction"):
        excepted |= _WORKER_AND_CALLBACK
    elif stack.parameters["HttpReservedConcurrency"] == "0":
        excepted |= _NOT_RESERVED
    if not stack.parameters["KeyArn"]:
        excepted |= _WITHOUT_KEY
    return excepted


def _written_out(stack: Stack) -> Json:
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            resource.name: {"Type": resource.kind, "Properties": resource.properties, **resource.attributes}
            for resource in stack.resources.values()
        },
    }
