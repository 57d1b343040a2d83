"""Runs the script against this machine, then with faults that its checks must notice.

`tests/smoke.sh` runs it with a directory that it may write to and the directory of the binaries.
"""

import logging
import signal
import sys
import tempfile
from pathlib import Path

from template.report import Report

from . import refusals, runs
from .bundle import world
from .faults import FAULTS

logging.getLogger("werkzeug").setLevel(logging.ERROR)


def main() -> int:
    parent, binaries = map(Path, sys.argv[1:3])
    checks = [*runs.CHECKS, *(runs.LONG_CHECKS if sys.argv[3:] == ["--all"] else [])]
    # A background job ignores it, and so would the runs that are interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    report = Report()
    with (
        tempfile.TemporaryDirectory(dir=parent) as directory,
        world(binaries, Path(directory)) as found,
    ):
        stack = found.deploy({}, {})
        for check in refusals.CHECKS:
            report.record(runs.title(check), check(found, stack))
        for check in checks:
            report.record(runs.title(check), check(found, stack))
        receiver = found.deploy_receiver()
        for fault in FAULTS:
            if found.has_old_cli and fault.noticed_by in runs.UNREAD_BY_OLD_CLI:
                continue
            report.record(
                f"noticed by {fault.noticed_by}: {fault.name}",
                fault.problems(found, stack, receiver),
            )
        report.record("every check has a fault to notice", runs.unnoticed(FAULTS))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
