"""Runs the script against this machine, then with faults that its checks must notice.

`tests/smoke.sh` runs it with a directory that it may write to and the directory of the binaries.
"""

import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from . import refusals, runs
from .bundle import world
from .faults import FAULTS

logging.getLogger("werkzeug").setLevel(logging.ERROR)


class Report:
    """Prints what passed and what failed."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def record(self, name: str, check: Callable[[], Iterable[str]]) -> None:
        started = time.monotonic()
        problems = list(check())
        print(
            f"{'FAILED' if problems else 'ok':6} {name} ({time.monotonic() - started:.1f} s)",
            flush=True,
        )
        for problem in problems:
            print(f"       {problem}", flush=True)
        if problems:
            self.failed += 1
        else:
            self.passed += 1


def main() -> int:
    parent, binaries = map(Path, sys.argv[1:])
    report = Report()
    with (
        tempfile.TemporaryDirectory(dir=parent) as directory,
        world(binaries, Path(directory)) as found,
    ):
        stack = found.deploy({}, {})
        for check in refusals.CHECKS:
            report.record(runs.title(check), lambda check=check: check(found, stack))
        for check in runs.CHECKS:
            report.record(runs.title(check), lambda check=check: check(found, stack))
        receiver = found.deploy_receiver()
        for fault in FAULTS:
            report.record(
                f"noticed by {fault.noticed_by}: {fault.name}",
                lambda fault=fault: fault.problems(found, stack, receiver),
            )
        report.record("every check has a fault to notice", lambda: runs.unnoticed(FAULTS))
    print(f"\n{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
