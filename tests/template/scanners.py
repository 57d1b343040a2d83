"""Two scanners of templates: cfn-lint, AWS's linter, and checkov.

Each exception has its reason. An exception that is no longer needed fails as well.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from . import linter
from .stack import SOURCE, Json, Stack

_BIN = Path(sys.executable).parent

# Findings of cfn-lint that are wrong for this template.
_LINTS_EXCEPTED = {
    "W1030": "it uses the empty default of AuthorizerFunctionArn where a condition on another "
    "parameter excludes it",
    "W2001": "SAM consumes Release and DeploymentPreference, and leaves their declarations",
}

_ALWAYS = {
    "CKV_AWS_116": "no function is invoked asynchronously, so a function's dead-letter queue would "
    "always be empty",
    "CKV_AWS_117": "the functions call services on the public internet, and a VPC would add NAT "
    "gateways, which are billed by the hour",
    "CKV_AWS_173": "no variable is secret; Lambda encrypts them at rest with its own key",
}
_WORKER_AND_CALLBACK = {
    "CKV_AWS_115": "reserved concurrency throttles readers of queues, and throttled receives "
    "count; their event sources have a maximum concurrency",
}
_NOT_RESERVED = {
    "CKV_AWS_115": "an operator who shares the account sets HttpReservedConcurrency; until then "
    "the gateway's throttling limits it",
}
_WITHOUT_KEY = {
    "CKV_AWS_27": "SQS encrypts with its own key unless KeyArn names another",
    "CKV_AWS_119": "DynamoDB encrypts with the account's AWS managed key unless KeyArn names "
    "another",
    "CKV_AWS_149": "Secrets Manager encrypts with the account's AWS managed key unless KeyArn "
    "names another",
    "CKV_AWS_158": "CloudWatch Logs encrypts with its own key unless KeyArn names another",
}

# Checks that checkov skips. It reported once, but not in thirty other runs of the same stacks, that
# a variable contains a secret.
_SKIPPED = {
    "CKV_AWS_45": "every variable is a reference to a resource or a parameter, which our own check "
    "ensures",
}

Finding = tuple[str, str]


def lint(stacks: dict[str, Stack], directory: Path) -> Iterator[str]:
    """cfn-lint's findings in the source and in its translations by SAM.

    A translation depends on the parameters for its names only.
    """
    files = [SOURCE]
    for name, stack in stacks.items():
        path = directory / f"translated-{name}.json"
        path.write_text(json.dumps(stack.translated, indent=1))
        files.append(path)
    yield from linter.findings(files, _LINTS_EXCEPTED.keys())


def scan(stacks: dict[str, Stack], directory: Path) -> Iterator[str]:
    """checkov's findings in the stacks with their parameters filled in, without the exceptions."""
    for name, stack in stacks.items():
        (directory / f"{name}.json").write_text(json.dumps(_written_out(stack), indent=1))
    run = subprocess.run(
        [
            *(
                _BIN / "checkov",
                "--framework",
                "cloudformation",
                "--output",
                "json",
                "--quiet",
                "--compact",
                "--skip-download",
            ),
            *("--skip-check", ",".join(_SKIPPED)),
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
        found[Path(finding["file_path"]).stem].add(
            (finding["check_id"], finding["resource"].split(".")[-1])
        )
    for name, stack in stacks.items():
        excepted = {
            (check, resource)
            for resource in stack.resources
            for check in _exceptions(stack, resource)
        }
        for check, resource in sorted(found[name] - excepted):
            yield f"{name}: {check} on {resource}"
    needed = {check for findings in found.values() for check, _ in findings}
    everything = _ALWAYS | _WORKER_AND_CALLBACK | _NOT_RESERVED | _WITHOUT_KEY
    for unused in sorted(everything.keys() - needed):
        yield f"the exception for {unused} is no longer needed"


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
            resource.name: {
                "Type": resource.kind,
                "Properties": resource.properties,
                **resource.attributes,
            }
            for resource in stack.resources.values()
        },
    }
