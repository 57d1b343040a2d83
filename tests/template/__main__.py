"""Runs every check, then every fault against the check that must notice it.

`tests/template.sh` runs it with a directory that it may write to.
"""

import copy
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from . import checks, choices, deployment, openapi, scanners
from .faults import FAULTS, LINT_FAULT, MOTO_FAULTS, SCAN_FAULT, Fault, ToolFault
from .stack import Json, Parameters, Refused, Stack, deploy, source


class Report:
    """Prints what passed and what failed, one check at a time."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def record(self, name: str, problems: Iterable[str]) -> None:
        started = time.monotonic()
        found = list(problems)
        took = time.monotonic() - started
        print(
            f"{'FAILED' if found else 'ok':6} {name}{f' ({took:.1f} s)' if took >= 1 else ''}",
            flush=True,
        )
        for problem in found:
            print(f"       {problem}", flush=True)
        if found:
            self.failed += 1
        else:
            self.passed += 1


def main() -> int:
    directory = Path(sys.argv[1])
    report = Report()
    template = source()
    stacks = {name: deploy(template, parameters) for name, parameters in choices.DEPLOYED.items()}
    for check in checks.CHECKS:
        report.record(_title(check.__name__), _everywhere(check, stacks))
    for name, (parameters, reason) in choices.REFUSED.items():
        report.record(f"refused: {name}", _refused(template, parameters, reason))
    for fault in FAULTS:
        report.record(f"noticed: {fault.name}", _noticed(template, fault))
    report.record("every check notices a fault", _checks_without_faults())
    report.record(
        "cfn-lint", scanners.lint({name: stacks[name] for name in ("jwt", "everything")}, directory)
    )
    broken = _tool_notices(
        template, LINT_FAULT, lambda stack: scanners.lint({"broken": stack}, directory)
    )
    report.record(f"noticed by cfn-lint: {LINT_FAULT.name}", broken)
    report.record("checkov", scanners.scan(stacks, directory))
    broken = _tool_notices(
        template, SCAN_FAULT, lambda stack: scanners.scan({"broken": stack}, directory)
    )
    report.record(f"noticed by checkov: {SCAN_FAULT.name}", broken)
    for name in ("jwt", "everything"):
        report.record(f"deployed to moto: {name}", deployment.problems(stacks[name]))
    for fault in MOTO_FAULTS:
        problems = _tool_notices(template, fault, deployment.problems)
        report.record(f"noticed when deployed to moto: {fault.name}", problems)
    report.record("the API's document is OpenAPI", openapi.problems(openapi.source()))
    for name, inject in openapi.FAULTS.items():
        report.record(f"noticed: {name}", openapi.noticed(inject))
    print(f"\n{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


def _everywhere(check: checks.Check, stacks: dict[str, Stack]) -> Iterator[str]:
    for name, stack in stacks.items():
        for problem in check(stack):
            yield f"{name}: {problem}"


def _refused(template: Json, parameters: Parameters, reason: str) -> Iterator[str]:
    try:
        deploy(template, parameters)
    except Refused as refused:
        if not str(refused).startswith(reason):
            yield f"refused for another reason: {refused}"
    else:
        yield "accepted"


def _noticed(template: Json, fault: Fault) -> Iterator[str]:
    broken = copy.deepcopy(template)
    fault.inject(broken)
    if broken == template:
        yield "the fault changes nothing"
    elif not list(fault.noticed_by(deploy(broken, fault.parameters))):
        yield f"{fault.noticed_by.__name__} does not notice it"


def _tool_notices(
    template: Json, fault: ToolFault, check: Callable[[Stack], Iterable[str]]
) -> Iterator[str]:
    broken = copy.deepcopy(template)
    fault.inject(broken)
    problems = list(check(deploy(broken, fault.parameters)))
    # With a single stack the tool also reports exceptions that only other stacks need.
    if not any(fault.message in problem for problem in problems):
        yield f"the tool does not notice it, but reports: {problems}"


def _checks_without_faults() -> Iterator[str]:
    noticing = {fault.noticed_by for fault in FAULTS}
    for check in checks.CHECKS:
        if check not in noticing:
            yield f"{check.__name__} has no fault that it notices"


def _title(name: str) -> str:
    return name.replace("_", " ")


if __name__ == "__main__":
    sys.exit(main())
