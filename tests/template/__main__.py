"""Runs every check. With `--all` it also plants every fault that a check must notice.

`tests/template.sh` runs it with a directory that it may write to.
"""

import copy
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from . import checks, choices, deployment, openapi, scanners
from .faults import FAULTS, LINT_FAULT, MOTO_FAULTS, SCAN_FAULT, Fault, ToolFault
from .report import Report
from .stack import Json, Parameters, Refused, Stack, deploy, source


def main() -> int:
    match sys.argv[1:]:
        case [name]:
            directory, is_all = Path(name), False
        case [name, "--all"]:
            directory, is_all = Path(name), True
        case _:
            sys.exit("usage: python -m template DIRECTORY [--all]")
    report = Report()
    template = source()
    stacks = {name: deploy(template, parameters) for name, parameters in choices.DEPLOYED.items()}
    for check in checks.CHECKS:
        report.record(_title(check.__name__), _everywhere(check, stacks))
    for name, (parameters, reason) in choices.REFUSED.items():
        report.record(f"refused: {name}", _refused(template, parameters, reason))
    report.record("every check has a fault to notice", _checks_without_faults())
    linted = {name: stacks[name] for name in ("jwt", "everything")}
    report.record("cfn-lint", scanners.lint(linted, directory))
    report.record("checkov", scanners.scan(stacks, directory))
    for name in ("jwt", "everything"):
        report.record(f"deployed to moto: {name}", deployment.problems(stacks[name]))
    report.record("the API's document is OpenAPI", openapi.problems(openapi.source()))
    if is_all:
        _plant(template, directory, report)
    return report.end()


def _plant(template: Json, directory: Path, report: Report) -> None:
    for fault in FAULTS:
        report.record(f"noticed: {fault.name}", _noticed(template, fault))
    broken = _tool_notices(
        template, LINT_FAULT, lambda stack: scanners.lint({"broken": stack}, directory)
    )
    report.record(f"noticed by cfn-lint: {LINT_FAULT.name}", broken)
    broken = _tool_notices(
        template, SCAN_FAULT, lambda stack: scanners.scan({"broken": stack}, directory)
    )
    report.record(f"noticed by checkov: {SCAN_FAULT.name}", broken)
    for fault in MOTO_FAULTS:
        problems = _tool_notices(template, fault, deployment.problems)
        report.record(f"noticed when deployed to moto: {fault.name}", problems)
    for name, inject in openapi.FAULTS.items():
        report.record(f"noticed: {name}", openapi.noticed(inject))


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
