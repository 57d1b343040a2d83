"""Runs every check. `tests/template.sh` calls it, with a directory that it may write to.

With `--all` it also plants every fault that a check has to notice.
"""

import copy
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from . import checks, choices, deployment, openapi, scanners
from .faults import FAULTS, LINTED, MADE, SCANNED, Fault, Oversight
from .stack import Json, Parameters, Refused, Stack, deploy, source


class Report:
    """Tells what passed and what did not, as it comes."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def tell(self, name: str, problems: Iterable[str]) -> None:
        started = time.monotonic()
        found = list(problems)
        took = time.monotonic() - started
        print(f"{'FAILED' if found else 'ok':6} {name}{f' ({took:.1f} s)' if took >= 1 else ''}", flush=True)
        for problem in found:
            print(f"       {problem}", flush=True)
        if found:
            self.failed += 1
        else:
            self.passed += 1


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
        report.tell(_title(check.__name__), _everywhere(check, stacks))
    for name, (parameters, reason) in choices.REFUSED.items():
        report.tell(f"refused: {name}", _refused(template, parameters, reason))
    report.tell("every check has a fault to notice", _idle_checks())
    report.tell("cfn-lint", scanners.lint({name: stacks[name] for name in ("jwt", "everything")}, directory))
    report.tell("checkov", scanners.scan(stacks, directory))
    for name in ("jwt", "everything"):
        report.tell(f"made by moto: {name}", deployment.problems(stacks[name]))
    report.tell("the API's description is OpenAPI", openapi.problems(openapi.source()))
    if is_all:
        _plant(template, directory, report)
    print(f"\n{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


def _plant(template: Json, directory: Path, report: Report) -> None:
    for fault in FAULTS:
        report.tell(f"noticed: {fault.name}", _noticed(template, fault))
    broken = _told(template, LINTED, lambda stack: scanners.lint({"broken": stack}, directory))
    report.tell(f"noticed by cfn-lint: {LINTED.name}", broken)
    broken = _told(template, SCANNED, lambda stack: scanners.scan({"broken": stack}, directory))
    report.tell(f"noticed by checkov: {SCANNED.name}", broken)
    for oversight in MADE:
        report.tell(f"noticed when made by moto: {oversight.name}", _told(template, oversight, deployment.problems))
    for name, inject in openapi.FAULTS.items():
        report.tell(f"noticed: {name}", openapi.noticed(inject))


def _everywhere(check: checks.Check, stacks: dict[str, Stack]) -> Iterator[str]:
    for name, stack in stacks.items():
        for problem in check(stack):
            yield f"{name}: {problem}"


def _refused(template: Json, parameters: Parameters, reason: str) -> Iterator[str]:
    try:
        deploy(template, parameters)
    except Refused as refused:
        if not str(refused).startswith(reason):
            yield f"for another reason: {refused}"
    else:
        yield "it would be deployed"


def _noticed(template: Json, fault: Fault) -> Iterator[str]:
    broken = copy.deepcopy(template)
    fault.inject(broken)
    if broken == template:
        yield "it changes nothing"
    elif not list(fault.noticed_by(deploy(broken, fault.parameters))):
        yield f"{fault.noticed_by.__name__} does not notice it"


def _told(template: Json, oversight: Oversight, look: Callable[[Stack], Iterable[str]]) -> Iterator[str]:
    broken = copy.deepcopy(template)
    oversight.inject(broken)
    problems = list(look(deploy(broken, oversight.parameters)))
    # The tool finds other things wrong with one stack alone: exceptions that only others need.
    if not any(oversight.told in problem for problem in problems):
        yield f"it is not noticed, but: {problems}"


def _idle_checks() -> Iterator[str]:
    busy = {fault.noticed_by for fault in FAULTS}
    for check in checks.CHECKS:
        if check not in busy:
            yield f"{check.__name__} was never seen to fail"


def _title(name: str) -> str:
    return name.replace("_", " ")


if __name__ == "__main__":
    sys.exit(main())
